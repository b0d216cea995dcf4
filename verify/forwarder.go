package verify

import "context"

// Forwarder is anything that computes a model's logits: the CPU reference or a GPU.
type Forwarder interface {
	// Forward feeds tokens after those that are already in the KV cache. It calls each, in order,
	// with the logits [VocabSize] of tokens[i] for every i ≥ from. The slice is reused.
	Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error
	// Reset forgets the KV cache.
	Reset()
	VocabSize() int
}

// Tracer is a Forwarder that lets one look inside.
type Tracer interface {
	// SetTrace makes Forward call f with the residual stream [tokens][hidden]: after the embedding
	// (layer 0), after each layer (1 to N) and after the final norm (N+1). A long input is fed in
	// several batches, and f is called for each of them; the slice is reused. A nil f ends it.
	SetTrace(f func(layer int, hidden []float32))
}
