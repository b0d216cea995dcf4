package bundle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/internal/sha256"
)

// checkChunk is about how many bytes Check reads at a time.
const checkChunk = 1 << 20

// Check reads everything: the SHA-256 of each tensor and of vocab.json, scales that are finite and
// not negative, floats that are finite, padding that is zero. Its error names each damaged tensor
// and, where it can, row and block. progress, if not nil, is called with the bytes done and those
// in all, one call at a time.
func (b *Bundle) Check(ctx context.Context, progress func(done, total int64)) error {
	var (
		errs  = make([]error, len(b.tensors))
		count = counter{total: b.Manifest.Size() - headerSize*int64(len(b.blobs)), report: progress}
		next  atomic.Int64
		group sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(errs); i = int(next.Add(1)) - 1 {
				errs[i] = b.reading(i, func() error { return b.checkTensor(ctx, i, &count) })
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := b.Vocab()
	if bad := slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(bad) > mostNamed {
		errs = append(bad[:mostNamed:mostNamed], corrupt("%d more tensors are damaged", len(bad)-mostNamed))
	}
	return errors.Join(append(errs, err)...)
}

// counter adds up progress.
type counter struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
}

func (c *counter) add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += n
	if c.report != nil {
		c.report(c.done, c.total)
	}
}

// checkTensor checks one tensor and the padding after it.
func (b *Bundle) checkTensor(ctx context.Context, i int, count *counter) error {
	t, rows := &b.Manifest.Tensors[i], b.tensors[i].Rows()
	size, hash := t.RowBytes(), sha256.New()
	var values error // the first value that cannot be
	for r, step := 0, max(1, checkChunk/size); r < rows; r += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(step, rows-r)
		src, done, err := b.bytes(t.File, t.Offset+int64(r)*int64(size), n*size)
		if err != nil {
			return err
		}
		hash.Write(src)
		if values == nil {
			values = t.checkRows(src, r)
		}
		done()
		count.add(int64(n * size))
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != t.SHA256 {
		err := corrupt("sha256 is %s: the manifest says %s", got, t.SHA256)
		if values != nil {
			err = fmt.Errorf("%w, and %w", err, values)
		}
		return err
	}
	if values != nil {
		return values
	}
	return b.checkPadding(t, count)
}

// checkRows reports the first row, of those in src, with a value that no writer writes.
func (t *Tensor) checkRows(src []byte, row0 int) error {
	size, cols := t.RowBytes(), t.Shape[len(t.Shape)-1]
	var row []float32
	for r := 0; r*size < len(src); r++ {
		s := src[r*size : (r+1)*size]
		if t.Type.Quantized() {
			if err := t.Scheme().Check(s, cols); err != nil {
				return corrupt("row %d: %w", row0+r, err)
			}
			continue
		}
		if row == nil {
			row = make([]float32, cols)
		}
		t.decodeRow(row, s)
		for c, v := range row {
			if v-v != 0 {
				return corrupt("row %d, column %d: %v is %w", row0+r, c, v, block.ErrNotFinite)
			}
		}
	}
	return nil
}

func (b *Bundle) checkPadding(t *Tensor, count *counter) error {
	end := t.Offset + t.Length
	pad, done, err := b.bytes(t.File, end, int(aligned(end)-end))
	if err != nil {
		return err
	}
	defer done()
	for i, v := range pad {
		if v != 0 {
			return corrupt("the padding after it is %#02x at byte %d: want zero", v, end+int64(i))
		}
	}
	count.add(int64(len(pad)))
	return nil
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// mostNamed is how many damaged tensors Check names.
const mostNamed = 10
