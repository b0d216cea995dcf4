package llm

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Engine computes logits for some sequences, numbered from 0, each with a KV cache; one of them is selected.
// *transformer.Transformer is one, OnCPU makes another. A Model calls it from one goroutine at a time.
//
// When the context ends, a call returns within one chunk of a prompt, and Position then says how many tokens the sequence
// keeps. After any other error the Model calls Reset.
type Engine interface {
	VocabSize() int // logits of a token
	Sequences() int
	Select(sequence int) error

	Position() int                                                  // tokens fed to the selected sequence
	Room() int                                                      // tokens that the selected sequence can still take, so that the last one sees the first
	CanRewind(position int) bool                                    // whether the cache still holds all that a token at this position sees
	Rewind(position int) error                                      // makes the next token one at this position
	Recurrent() bool                                                // whether layers remember by states, so that only Keep makes a position one to rewind to
	Keep() error                                                    // makes CanRewind true of this position, in place of the one before, until the sequence is taken back behind it
	Shift(keep, drop int) (bool, error)                             // drops tokens after the first keep and moves those after them, their keys rotated to the new positions; false: the caches do not allow it, and nothing has changed
	Reset()                                                         // forgets the selected sequence
	Prefill(ctx context.Context, tokens []int32) (n int, err error) // feeds one chunk and returns its length; 0: everything fits into one chunk, and nothing was fed

	// Forward feeds tokens and calls each with the logits [VocabSize] of tokens[i] for i ≥ from, in order.
	Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error
	// Hidden is Forward for the hidden states after the final norm, which the head multiplies.
	Hidden(ctx context.Context, tokens []int32, from int, each func(i int, hidden []float32) error) error
	// Top feeds tokens and returns the largest logits of the last one, in no order, and ln Σ exp over all of its
	// logits. Without candidates, Logits must be asked.
	Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error)
	// Logits returns all logits of the token that Top was last asked for.
	Logits(ctx context.Context) ([]float32, error)
	// TopOf feeds one token to each of some sequences and calls each with what Top returns, of tokens[i]; the
	// candidates stay as they are when each has returned.
	TopOf(ctx context.Context, sequences []int, tokens []int32, each func(i int, candidates []sample.Candidate, logSumExp float64) error) error
	// LogitsOf returns all logits of the i-th token that TopOf was last asked for.
	LogitsOf(ctx context.Context, i int) ([]float32, error)
}
