package verify

import (
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// A model whose context is limited has room for no more, whatever is asked for.
func TestContextLimit(t *testing.T) {
	r := reference(t, open(t, fixture.Family(t, "deepseek_v32")), ReferenceOptions{MaxSeqLen: 100})
	most := r.spec.ContextLimit
	if most == 0 || most >= 100 || r.Room() != most || r.spec.TrainedContext() != most {
		t.Fatalf("room for %d tokens, trained for %d, want %d", r.Room(), r.spec.TrainedContext(), most)
	}
	feed(t, r, make([]int32, most), most)
	err := r.Forward(t.Context(), []int32{0}, 0, func(int, []float32) error { return nil })
	if r.Room() != 0 || err == nil || !strings.Contains(err.Error(), "position 48: the model has 48 positions") {
		t.Errorf("room for %d more, error %v", r.Room(), err)
	}
}
