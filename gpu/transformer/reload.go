package transformer

import (
	"context"
	"fmt"
	"slices"
)

// Reload uploads tensor i anew, from a source of the same model that packs it as the one did that the
// Transformer was made of. Transformers that share the weights see it, too. What caches hold of tokens
// that were fed before stays as it is: Reset forgets it.
func (t *Transformer) Reload(ctx context.Context, src Source, i int) error {
	l := &loading{t: t, src: src}
	for _, v := range t.w.vectors {
		if slices.Contains(v.tensors, i) {
			return l.vector(v)
		}
	}
	jobs, _ := t.jobs(src)
	for _, j := range jobs {
		if j.vector != nil || j.tensor != i {
			continue
		}
		bits, block := src.Packing(i)
		if want, have := (scheme{bits, block}), j.spans[0].scheme; want != have {
			return fmt.Errorf("tensor %q: %d bits in blocks of %d, on the device %d bits in blocks of %d", src.Tensors()[i].Name, want.bits, want.block, have.bits, have.block)
		}
		u := uploader{ctx: ctx, loading: l}
		defer u.release()
		return u.tensor(j, j.bytes)
	}
	return fmt.Errorf("tensor %d: the device has %d tensors", i, len(src.Tensors()))
}
