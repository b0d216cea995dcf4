package llm_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// TestSavedModel saves a sequence of a real model, on GPU and CPU, and restores it in another process's place: a model that was
// loaded anew. Its logits are those of the sequence that simply goes on, bit for bit. Engines refuse each other's files.
func TestSavedModel(t *testing.T) {
	dir := t.TempDir()
	prompt := make([]int32, 40)
	for i := range prompt {
		prompt[i] = int32(300 + i*i%97)
	}
	path := func(d llm.Device) string { return filepath.Join(dir, string(d)) }
	logits := func(s *llm.Session) (all []float32) {
		next := append(slices.Clone(prompt), 400, 401, 402)
		if err := s.Logits(t.Context(), next, len(prompt), func(_ int, l []float32) error {
			all = append(all, l...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	devices := []llm.Device{llm.GPU, llm.CPU}
	var refusing []*llm.Session
	for _, d := range devices {
		_, s := open(t, llm.Options{Device: d, Context: 64, Warm: []int{}})
		if _, err := llm.Collect(s.GenerateTokens(t.Context(), prompt, llm.GenerateOptions{MaxTokens: 1})); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Save(t.Context(), path(d)); err != nil {
			t.Fatal(err)
		}
		want := logits(s)
		_, other := open(t, llm.Options{Device: d, Context: 64, Warm: []int{}})
		if h, err := other.Restore(t.Context(), path(d)); err != nil || h.Tokens != len(prompt) {
			t.Fatal(h, err)
		}
		if !slices.Equal(logits(other), want) {
			t.Errorf("%s: restored, it goes on otherwise", d)
		}
		refusing = append(refusing, other)
	}
	_, longer := open(t, llm.Options{Device: llm.CPU, Context: 65})
	for want, restore := range map[string]func() (llm.Saved, error){
		`saved with engine "GPU`: func() (llm.Saved, error) { return refusing[1].Restore(t.Context(), path(llm.GPU)) },
		`saved with engine "CPU`: func() (llm.Saved, error) { return refusing[0].Restore(t.Context(), path(llm.CPU)) },
		`saved with context "64`: func() (llm.Saved, error) { return longer.Restore(t.Context(), path(llm.CPU)) },
	} {
		if _, err := restore(); !errors.Is(err, llm.ErrSaved) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
