package auto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/strict"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// sensitivity is the file of Calibration.Sensitivity: what matrices cost a model, and for which model and text that was
// measured.
type sensitivity struct {
	Version      int                 `json:"version"`
	Checkpoint   string              `json:"checkpoint"`    // SHA-256 of its configuration and files
	Rotated      bool                `json:"rotated"`       // see convert.Rotate
	Calibration  string              `json:"calibration"`   // windows and SHA-256 of the text
	DriftWindows int                 `json:"drift_windows"` // those of them that drifts were measured on
	DriftTokens  int                 `json:"drift_tokens"`  // of these
	Matrices     convert.Sensitivity `json:"matrices"`

	path string // "": is not kept
}

// sensitivityVersion counts changes of what is measured, and how.
const sensitivityVersion = 4

// openSensitivity returns what the file at path has; without a path, or a file there, nothing was measured yet, and drifts will
// be measured on so much text.
func openSensitivity(ctx context.Context, path string, src *checkpoint, o *convert.Options, drift extent) (*sensitivity, error) {
	s := &sensitivity{
		Version: sensitivityVersion, Rotated: o.Rotate, Calibration: o.Text, DriftWindows: drift.windows, DriftTokens: drift.tokens,
		Matrices: convert.Sensitivity{}, path: path,
	}
	if s.path == "" {
		return s, nil
	}
	var err error
	if s.Checkpoint, err = src.Hash(ctx); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, s.write() // that it cannot be written is better known now
	}
	if err != nil {
		return nil, err
	}
	var found sensitivity
	if err = strict.Unmarshal(data, &found); err == nil {
		err = found.check(s)
	}
	if err == nil {
		err = found.Matrices.Check(src.Weights)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: remove the file to measure again, or name another", s.path, err)
	}
	s.Matrices, s.DriftWindows, s.DriftTokens = found.Matrices, found.DriftWindows, found.DriftTokens
	return s, nil
}

// check reports if s was measured for something else.
func (s *sensitivity) check(want *sensitivity) error {
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"version", s.Version, want.Version},
		{"checkpoint", s.Checkpoint, want.Checkpoint},
		{"rotated", s.Rotated, want.Rotated},
		{"calibration", s.Calibration, want.Calibration},
	} {
		if f.have != f.want {
			return fmt.Errorf("%s: it has %v, this run has %v", f.name, f.have, f.want)
		}
	}
	if s.DriftWindows < 1 || s.DriftTokens < 4 {
		return fmt.Errorf("drift_windows and drift_tokens: %d and %d, want 1 and 4 or more", s.DriftWindows, s.DriftTokens)
	}
	if s.Matrices == nil {
		return errors.New("matrices: there are none")
	}
	return nil
}

// write replaces the file, if there is to be one.
func (s *sensitivity) write() error {
	if s.path == "" {
		return nil
	}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return outdir.ReplaceFile(s.path, append(data, '\n'))
}
