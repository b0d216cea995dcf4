package convert

import (
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

// TestWork: what feedback rounds counts for more than its bytes, the more columns there are.
func TestWork(t *testing.T) {
	p := &plan{src: Source{Bytes: []int64{1000, 1000, 1000}}, tensors: []bundle.Tensor{
		{Shape: []int{10, 600}, Method: "search"},
		{Shape: []int{10, 600}, Method: string(GPTQ)},
		{Shape: []int{5, 1200}, Method: string(GPTQ)},
	}}
	plain, narrow, wide := p.work(0), p.work(1), p.work(2)
	if plain != 1000 || narrow <= 10*plain || wide <= narrow {
		t.Errorf("work %d, %d, %d", plain, narrow, wide)
	}
}
