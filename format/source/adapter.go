package source

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Adapter is a PEFT adapter that is merged into a checkpoint's weights.
type Adapter struct {
	Dir   string
	Scale float64 // its weights are multiplied by this, in addition to the scale in its configuration
}

// ParseAdapter reads DIR or DIR:SCALE. Without a number after the last colon the scale is 1.
func ParseAdapter(text string) Adapter {
	if at := strings.LastIndexByte(text, ':'); at > 0 {
		if v, err := strconv.ParseFloat(text[at+1:], 64); err == nil {
			return Adapter{text[:at], v}
		}
	}
	return Adapter{text, 1}
}

// Merge adds adapters to a checkpoint's weights, one after the other. A bundle has none to add them to.
func (m *Model) Merge(adapters ...Adapter) error {
	for _, a := range adapters {
		if m.Checkpoint == nil {
			return fmt.Errorf("lora: %s: is a bundle, want a checkpoint", m.Dir)
		}
		if err := m.Checkpoint.Merge(a.Dir, a.Scale); err != nil {
			return fmt.Errorf("lora: %w", err)
		}
		m.Merged = append(m.Merged, fmt.Sprintf("%s × %g", filepath.Base(a.Dir), a.Scale))
	}
	return nil
}
