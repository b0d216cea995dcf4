package graph

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
func (w *Weights) rawBytes(most int) int {
	row := 0
	for _, m := range w.matrices {
		for _, p := range m.Parts {
			row = max(row, p.RowBytes(p.Width))
		}
	}
	return RoundUp(max(row, min(most, chunkBytes)), 4) + 8
}

// loadingBytes reports how much device memory loading takes in addition to the weights, for a source with this number
// of tensors.
func (w *Weights) loadingBytes(tensors int) int {
	jobs, most := w.jobs(tensors)
	return min(readers(), len(jobs)) * (w.rawBytes(most) + chunkHead + placeholderBytes)
}

// uploader sends tensors chunk by chunk, as they are stored; a compute pass rearranges each chunk into
// planes. While the device takes one chunk, the next is read into the other Stage. Its buffers are made
// for the first tensor; a chunk allocates nothing.
type uploader struct {
	*loading
	ctx    context.Context // between whose chunks loading may end
	stages [2]*gpu.Stage
	turn   int
	raw    *gpu.Buffer // a chunk on the device
	chunk  *gpu.Buffer // uniform: what repack is told
	unread *gpu.Buffer // placeholder for the heads of floats, which have none
	copies []gpu.StageCopy

	filled Packing     // the one whose pattern raw holds, if the weights repeat one
	repack gpu.Program // of one dispatch, …
	group  *gpu.BindGroup
	x, y   int // … with these
}

func (u *uploader) open(most int) (err error) {
	if u.raw != nil {
		return nil
	}
	n := u.w.rawBytes(most)
	if u.raw, err = u.w.dev.NewBuffer(PurposeLoading, uint64(n), gpu.Storage); err != nil {
		return err
	}
	if u.chunk, err = u.w.dev.NewBuffer(PurposeLoading, chunkHead, gpu.Uniform); err != nil {
		return err
	}
	if u.unread, err = u.w.dev.NewBuffer(PurposeLoading, placeholderBytes, gpu.Storage); err != nil {
		return err
	}
	for i := range u.stages {
		if u.stages[i], err = u.w.dev.NewStage(purposeStaging, uint64(chunkHead+n)); err != nil {
			return err
		}
	}
	return nil
}

func (u *uploader) release() {
	u.group.Release()
	u.raw.Release()
	u.chunk.Release()
	u.unread.Release()
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
		pipeline, err := u.bind(s.Part)
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
func (u *uploader) bind(p *Part) (*gpu.Pipeline, error) {
	k, err := kernels.Specialize("repack", p.consts())
	if err != nil {
		return nil, err
	}
	pipeline, err := u.w.dev.Pipeline(k)
	if err != nil {
		return nil, err
	}
	heads := gpu.Range{Buffer: u.unread}
	if p.heads != nil {
		heads = p.heads.Range()
	}
	u.group.Release()
	u.repack, u.x, u.y = gpu.Program{}, 0, 0
	u.group, err = u.w.dev.BindGroup(pipeline, gpu.Range{Buffer: u.raw}, p.codes.Range(), heads, gpu.Range{Buffer: u.chunk})
	return pipeline, err
}

// span uploads the rows of one tensor that belong to a part.
func (u *uploader) span(s span, pipeline *gpu.Pipeline) error {
	row := s.RowBytes(s.Width)
	words := (s.CodeBytes(s.Width) + s.HeadBytes(s.Width)) / 4
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
		appendWords(mem[:0], s.Width, s.Cols(s.Width), n, s.to+r*s.step, s.step, 0, 0, 0)
		u.copies = append(u.copies[:0], gpu.StageCopy{Dst: gpu.Range{Buffer: u.chunk, Size: 32}})
		if err := u.fill(mem[chunkHead:], s, r, n*row); err != nil {
			return err
		}
		if x, y := Grid((n*words + repackLanes - 1) / repackLanes); x != u.x || y != u.y {
			u.repack, u.x, u.y = gpu.Program{}, x, y
			u.repack.Dispatch(pipeline, u.group, uint32(x), uint32(y), 1)
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

// fill reads n bytes of a tensor, from row r of a span on, to be copied to raw. Of weights that repeat a pattern,
// that of a packing is copied once.
func (u *uploader) fill(mem []byte, s span, r, n int) error {
	from := int64(s.from+r) * int64(s.RowBytes(s.Width))
	if u.options.Repeats {
		if u.filled == s.Packing {
			return nil
		}
		u.filled, n, from = s.Packing, len(mem), 0
	}
	u.copies = append(u.copies, gpu.StageCopy{Dst: gpu.Range{Buffer: u.raw, Size: uint64(RoundUp(n, 4))}, From: chunkHead})
	return u.src.ReadAt(s.tensor, mem[:n], from)
}
