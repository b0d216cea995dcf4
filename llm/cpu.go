package llm

import (
	"context"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Forwarder computes logits and hidden states for one sequence: the CPU engine.
type Forwarder interface {
	Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error
	Hidden(ctx context.Context, tokens []int32, from int, each func(i int, hidden []float32) error) error
	VocabSize() int
	Position() int
	Room() int
	CanRewind(position int) bool
	Rewind(position int) error
	Recurrent() bool
	Keep() error
	Shift(keep, drop int) (bool, error)
	Reset()
}

// OnCPU makes an Engine of one sequence.
func OnCPU(f Forwarder) Engine { return &cpu{Forwarder: f} }

// cpu is a Forwarder as an Engine. All of its logits are at hand.
type cpu struct {
	Forwarder
	logits []float32 // of the last token fed
}

// cpuChunk is how many tokens of a prompt are fed at once: the Forwarder looks at the context often enough by itself.
const cpuChunk = 1024

func (c *cpu) Sequences() int { return 1 }

func (c *cpu) Select(sequence int) error {
	if sequence != 0 {
		return fmt.Errorf("sequence %d: the CPU engine has one", sequence)
	}
	return nil
}

func (c *cpu) Prefill(ctx context.Context, tokens []int32) (int, error) {
	if len(tokens) <= cpuChunk {
		return 0, nil
	}
	return cpuChunk, c.Forward(ctx, tokens[:cpuChunk], cpuChunk, nil)
}

func (c *cpu) Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	return nil, 0, c.Forward(ctx, tokens, len(tokens)-1, func(_ int, logits []float32) error {
		c.logits = append(c.logits[:0], logits...)
		return nil
	})
}

func (c *cpu) Logits(context.Context) ([]float32, error) { return slices.Clone(c.logits), nil }

func (c *cpu) TopOf(ctx context.Context, sequences []int, tokens []int32, each func(i int, candidates []sample.Candidate, logSumExp float64) error) error {
	if len(sequences) != 1 || len(tokens) != 1 || sequences[0] != 0 {
		return fmt.Errorf("%d tokens for sequences %v: the CPU engine has one sequence", len(tokens), sequences)
	}
	if _, _, err := c.Top(ctx, tokens); err != nil {
		return err
	}
	return each(0, nil, 0)
}

// KVOverflow is what the Forwarder knows of its cache.
func (c *cpu) KVOverflow(ctx context.Context) (int, error) {
	if o, ok := c.Forwarder.(overflower); ok {
		return o.KVOverflow(ctx)
	}
	return -1, nil
}

func (c *cpu) LogitsOf(ctx context.Context, _ int) ([]float32, error) { return c.Logits(ctx) }
