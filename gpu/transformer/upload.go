package transformer

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// chunkBytes is how much of a tensor travels to the device at once.
const chunkBytes = 4 << 20

// chunkHead is where a chunk's bytes begin in its Stage, after what repack is told.
const chunkHead = gpu.Align

// rawBytes reports how large the buffer is that repack reads: chunkBytes, or less if no tensor is so
// large, or the longest row. repack may read one word on.
func rawBytes(w *weights, most int) int {
	row := 0
	for _, m := range w.matrices {
		for _, p := range m.parts {
			row = max(row, p.restBytes(p.width))
		}
	}
	return roundUp(max(row, min(most, chunkBytes)), 4) + 8
}

// loadingBytes reports the device memory that loading takes beside the weights.
func (t *Transformer) loadingBytes(src Source) int {
	jobs, most := t.jobs(src)
	return min(readers(), len(jobs)) * (rawBytes(t.w, most) + chunkHead)
}

// uploader sends tensors chunk by chunk, as they are at rest; a compute pass rearranges each chunk into
// planes. While the device takes one chunk, the next is read into the other Stage. It makes its buffers
// when it has the first tensor, and then allocates nothing for a chunk.
type uploader struct {
	*loading
	ctx    context.Context // between whose chunks loading may end
	stages [2]*gpu.Stage
	turn   int
	raw    *gpu.Buffer // a chunk on the device
	chunk  *gpu.Buffer // uniform: what repack is told
	copies []gpu.StageCopy

	filled scheme      // of made-up weights: those that raw holds already
	repack gpu.Program // of one dispatch, …
	group  *gpu.BindGroup
	x, y   uint32 // … with these
}

func (u *uploader) open(most int) (err error) {
	if u.raw != nil {
		return nil
	}
	n := rawBytes(u.t.w, most)
	if u.raw, err = u.t.dev.NewBuffer(purposeLoading, uint64(n), gpu.Storage); err != nil {
		return err
	}
	if u.chunk, err = u.t.dev.NewBuffer(purposeLoading, chunkHead, gpu.Uniform); err != nil {
		return err
	}
	for i := range u.stages {
		if u.stages[i], err = u.t.dev.NewStage(purposeStaging, uint64(chunkHead+n)); err != nil {
			return err
		}
	}
	return nil
}

func (u *uploader) release() {
	u.group.Release()
	u.raw.Release()
	u.chunk.Release()
	for _, s := range u.stages {
		s.Release()
	}
}

// tensor uploads a tensor of a matrix.
func (u *uploader) tensor(j job, most int) error {
	if err := u.open(most); err != nil {
		return err
	}
	for _, s := range j.spans {
		pipeline, err := u.bind(s.part)
		if err != nil {
			return err
		}
		if err := u.span(s, pipeline); err != nil {
			return err
		}
	}
	return nil
}

// bind makes the bind group for a part.
func (u *uploader) bind(p *part) (*gpu.Pipeline, error) {
	k, err := kernels.Specialize("repack", p.consts())
	if err != nil {
		return nil, err
	}
	pipeline, err := u.t.dev.Pipeline(k)
	if err != nil {
		return nil, err
	}
	heads := p.heads
	if heads == u.t.none {
		heads = u.t.sink
	}
	u.group.Release()
	u.repack, u.x, u.y = gpu.Program{}, 0, 0
	u.group, err = u.t.dev.BindGroup(pipeline, whole(u.raw), whole(p.codes), whole(heads), whole(u.chunk))
	return pipeline, err
}

// span uploads the rows of one tensor that belong to a part.
func (u *uploader) span(s span, pipeline *gpu.Pipeline) error {
	row := s.restBytes(s.width)
	words := (s.codeBytes(s.width) + s.headBytes(s.width)) / 4
	for r := 0; r < s.piece.rows; {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		n := min(s.piece.rows-r, max(1, (int(u.raw.Size())-8)/row))
		stage := u.stages[u.turn]
		u.turn = 1 - u.turn
		mem, err := stage.Bytes(u.ctx)
		if err != nil {
			return err
		}
		appendWords(mem[:0], s.width, s.cols(s.width), n, s.to+r*s.step, s.step, 0, 0, 0)
		u.copies = append(u.copies[:0], gpu.StageCopy{Dst: gpu.Range{Buffer: u.chunk, Size: 32}})
		if err := u.fill(mem[chunkHead:], s, r, n*row); err != nil {
			return err
		}
		if x, y := grid((n*words + repackLanes - 1) / repackLanes); x != u.x || y != u.y {
			u.repack, u.x, u.y = gpu.Program{}, x, y
			u.repack.Dispatch(pipeline, u.group, x, y, 1)
		}
		if err := stage.Send(u.copies, &u.repack); err != nil {
			return err
		}
		r += n
		u.progress(n * row)
	}
	return nil
}

const repackLanes = 64

// fill reads n bytes of a tensor, from row r of a span on, to be copied to raw. Made-up weights are the
// same from every row on: those of a packing are copied once.
func (u *uploader) fill(mem []byte, s span, r, n int) error {
	made, ok := u.src.(*Synthetic)
	if ok {
		if u.filled == s.scheme {
			return nil
		}
		u.filled, n = s.scheme, len(mem)
	}
	u.copies = append(u.copies, gpu.StageCopy{Dst: gpu.Range{Buffer: u.raw, Size: uint64(roundUp(n, 4))}, From: chunkHead})
	if ok {
		return made.ReadAt(s.tensor, mem, 0)
	}
	return u.src.ReadAt(s.tensor, mem[:n], int64(s.from+r)*int64(s.restBytes(s.width)))
}
