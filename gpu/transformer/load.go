package transformer

import (
	"context"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// chunkBytes is how much of a tensor travels to the device at once.
const chunkBytes = 8 << 20

// allocateWeights makes the buffers of all matrices and vectors.
func (t *Transformer) allocateWeights() error {
	var err error
	for _, v := range t.w.vectors {
		if v.buffer, err = t.buffer(purposeWeights, 4*stride(v.n), gpu.Storage); err != nil {
			return err
		}
	}
	for _, m := range t.w.matrices {
		for _, p := range m.parts {
			if p.codes, err = t.buffer(purposeWeights, p.rows*p.codeBytes(p.width), gpu.Storage); err != nil {
				return err
			}
			if n := p.rows * p.headBytes(p.width); n == 0 {
				p.heads = t.none
			} else if p.heads, err = t.buffer(purposeWeights, n, gpu.Storage); err != nil {
				return err
			}
		}
	}
	return nil
}

// load brings the weights to the device in the order of the source, which may come over a network.
// A matrix travels in chunks of whole rows as it is at rest; a compute pass rearranges each into
// planes.
func (t *Transformer) load(ctx context.Context, src Source) error {
	l := loader{ctx: ctx, t: t, src: src}
	if err := l.open(stagingBytes(t.w)); err != nil {
		return err
	}
	defer l.release()
	for _, load := range l.inOrder() {
		if err := load(); err != nil {
			return err
		}
	}
	return t.dev.Wait(ctx)
}

// inOrder returns what loads each vector and matrix, in the order of their first tensors.
func (l *loader) inOrder() []func() error {
	at := map[int]func() error{}
	for _, v := range l.t.w.vectors {
		at[v.tensors[0]] = func() error { return l.vector(v) }
	}
	for _, m := range l.t.w.matrices {
		at[m.parts[0].pieces[0].tensor] = func() error { return l.matrix(m) }
	}
	var loads []func() error
	for _, i := range slices.Sorted(maps.Keys(at)) {
		loads = append(loads, at[i])
	}
	return loads
}

func (l *loader) vector(v *vector) error {
	values, err := v.values(l.src)
	if err != nil {
		return err
	}
	return v.buffer.Write(0, floatBytes(values))
}

func (l *loader) matrix(m *matrix) error {
	for _, p := range m.parts {
		if err := l.part(p); err != nil {
			return err
		}
	}
	return nil
}

// stagingBytes reports how large the buffer on the way is: chunkBytes, or less if no matrix is
// so large, or the longest row. repack may read one word on.
func stagingBytes(w *weights) int {
	row, most := 0, 0
	for _, m := range w.matrices {
		for _, p := range m.parts {
			row = max(row, p.restBytes(p.width))
			most = max(most, p.rows*p.restBytes(p.width))
		}
	}
	return roundUp(max(row, min(most, chunkBytes)), 4) + 8
}

// loader holds what the chunks pass through.
type loader struct {
	ctx   context.Context // of the loading, between whose chunks it may end
	t     *Transformer
	src   Source
	done  uint64 // bytes
	bytes []byte
	raw   *gpu.Buffer
	chunk *gpu.Buffer // the uniform of repack
}

func (l *loader) open(n int) (err error) {
	l.bytes = make([]byte, n)
	if l.raw, err = l.t.dev.NewBuffer(purposeLoading, uint64(n), gpu.Storage); err != nil {
		return err
	}
	if l.chunk, err = l.t.dev.NewBuffer(purposeLoading, 32, gpu.Uniform); err != nil {
		l.release()
	}
	return err
}

func (l *loader) release() {
	l.raw.Release()
	l.chunk.Release()
}

// part fills a part.
func (l *loader) part(p *part) error {
	k, err := kernels.Specialize("repack", p.consts())
	if err != nil {
		return err
	}
	pipeline, err := l.t.dev.Pipeline(k)
	if err != nil {
		return err
	}
	heads := p.heads
	if heads == l.t.none {
		heads = l.t.sink
	}
	group, err := l.t.dev.BindGroup(pipeline, whole(l.raw), whole(p.codes), whole(heads), whole(l.chunk))
	if err != nil {
		return err
	}
	defer group.Release()
	for _, c := range p.pieces {
		if err := l.piece(p, c, pipeline, group); err != nil {
			return err
		}
	}
	return nil
}

// piece uploads the rows of one tensor that belong to a part.
func (l *loader) piece(p *part, c piece, pipeline *gpu.Pipeline, group *gpu.BindGroup) error {
	row := p.restBytes(p.width)
	words := (p.codeBytes(p.width) + p.headBytes(p.width)) / 4
	for r := 0; r < c.rows; {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		n := min(c.rows-r, max(1, (len(l.bytes)-8)/row))
		buf := l.bytes[:roundUp(n*row, 4)]
		if err := l.src.ReadAt(c.tensor, buf[:n*row], int64(c.from+r)*int64(row)); err != nil {
			return err
		}
		if err := l.raw.Write(0, buf); err != nil {
			return err
		}
		head := words32(p.width, p.cols(p.width), n, c.to+r*c.step, c.step, 0, 0, 0)
		if err := l.chunk.Write(0, head); err != nil {
			return err
		}
		var prog gpu.Program
		x, y := grid((n*words + repackLanes - 1) / repackLanes)
		prog.Dispatch(pipeline, group, x, y, 1)
		if err := l.t.dev.Run(&prog); err != nil {
			return err
		}
		r += n
		l.done += uint64(n * row)
		if l.t.opts.Progress != nil {
			l.t.opts.Progress(l.done)
		}
	}
	return nil
}

const repackLanes = 64

// grid spreads n workgroups over two dimensions as the kernels count them: x + 65535·y.
func grid(n int) (x, y uint32) {
	return uint32(min(n, 65535)), uint32((n + 65534) / 65535)
}

// words32 returns numbers as little-endian uint32.
func words32(numbers ...int) []byte {
	b := make([]byte, 0, 4*len(numbers))
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func whole(b *gpu.Buffer) gpu.Range { return gpu.Range{Buffer: b} }

func floatBytes(f []float32) []byte {
	b := make([]byte, 4*len(f))
	for i, v := range f {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}
