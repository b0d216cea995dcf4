package transformer

import (
	"context"
	"fmt"
)

// Reload uploads matrix i anew, from a source of the same model that packs it as the one did that the
// Transformer was made of. Transformers that share the weights see it, too. What caches hold of tokens
// that were fed before stays as it is: Reset forgets it.
func (t *Transformer) Reload(ctx context.Context, src Source, i int) error {
	jobs, _ := t.jobs(src)
	for _, j := range jobs {
		if j.vector != nil || j.tensor != i {
			continue
		}
		bits, block := src.Packing(i)
		if have := j.spans[0].scheme; have != (scheme{bits, block}) {
			return fmt.Errorf("tensor %q: packed as %+v, the device has it as %+v", src.Tensors()[i].Name, scheme{bits, block}, have)
		}
		u := uploader{ctx: ctx, loading: &loading{t: t, src: src}}
		defer u.release()
		return u.tensor(j, j.bytes)
	}
	return fmt.Errorf("tensor %d of %d is no matrix on the device", i, len(src.Tensors()))
}
