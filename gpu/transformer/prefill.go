package transformer

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// Prefill feeds the first chunk of tokens to the selected sequence, without making logits, and reports how many
// tokens it was: 0 if all of them fit into one chunk, which is then left for Top. So a caller that feeds a long
// prompt can act between two chunks. If ctx ends, Prefill does, and the sequence has the tokens that Position
// counts.
func (t *Transformer) Prefill(ctx context.Context, tokens []int32) (int, error) {
	if err := t.accept(t.sequences.selected, tokens); err != nil {
		return 0, err
	}
	if t.chunk(len(tokens)) == len(tokens) {
		return 0, nil
	}
	left, err := t.feedChunk(ctx, tokens)
	return left.n, err
}

// feedChunk feeds the first chunk of tokens and reports what it leaves for the head. It does not wait for them, but for the
// chunk before the last: so the device is busy while the next chunk is encoded, and canceling ctx
// does not have to wait for the whole prompt.
func (t *Transformer) feedChunk(ctx context.Context, tokens []int32) (leaving, error) {
	if err := t.paced[0].Wait(ctx); err != nil {
		return leaving{}, err
	}
	n := t.chunk(len(tokens))
	left, err := t.feed(ctx, tokens[:n])
	if err != nil {
		return leaving{}, err
	}
	if n == len(tokens) { // what follows reads results, and so waits for all
		t.paced[1].Release()
		return left, nil
	}
	fence, err := t.dev.Fence()
	if err != nil {
		return leaving{}, err
	}
	if t.dev.OnCPU() { // encoding takes the same processor's time: nothing is gained by being ahead
		return left, fence.Wait(ctx)
	}
	t.paced = [2]gpu.Fence{t.paced[1], fence}
	return left, nil
}
