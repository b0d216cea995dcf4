package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// stepBuffer is the uniform that tells kernels how many tokens there are, and at which row of the residual stream
// they begin: once for the body of a pass and once for the head. It is written only when something changes.
type stepBuffer struct {
	buffer *arena.Buffer // (n, from, 0, 0) of the body at 0, of the head at headStep
	tokens *arena.Buffer // of these, what the body reads
	head   *arena.Buffer // … and the head
	holds  [2][2]int
}

func reserveStep(a *arena.Arena) *stepBuffer {
	b := a.Reserve(PurposeActivations, 2*headStep, gpu.Uniform)
	return &stepBuffer{buffer: b, tokens: b.Part(0, 16), head: b.Part(headStep, 16)}
}

// headStep is where the head's numbers lie.
const headStep = gpu.Align

// SetTokens tells the kernels of the body that a pass has n tokens.
func (k *Kit) SetTokens(n int) error { return k.step.set(0, n, 0) }

// SetHead tells the kernels of the head that it takes n rows of the residual stream, starting at row from.
func (k *Kit) SetHead(n, from int) error { return k.step.set(1, n, from) }

func (s *stepBuffer) set(i, n, from int) error {
	if s.holds[i] == [2]int{n, from} {
		return nil
	}
	s.holds[i] = [2]int{n, from}
	return s.buffer.Write(uint64(i*headStep), wordBytes(n, from, 0, 0))
}

// Tokens is where the kernels read how many tokens a pass has.
func (k *Kit) Tokens() *arena.Buffer { return k.step.tokens }

func (k *Kit) headTokens() *arena.Buffer { return k.step.head }
