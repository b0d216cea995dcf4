package transformer

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// track is what calibration text has become on its way through a model.
type track struct {
	src model.Weights

	mu     sync.Mutex
	stored map[int]*stored // tensors that count in place of src's once they are whole, as far as still needed

	input  *stream // residual stream before the layer
	heads  *stream // outputs of its heads …
	middle *stream // … and residual stream after attention, as far as have says
	have   place
}

// stored is a tensor as it will be in the bundle.
type stored struct {
	scheme
	missing int            // rows that are yet to come
	bytes   []byte         // of all rows, or
	rows    map[int][]byte // of those that will be looked up
}

func newTrack(src model.Weights, windows [][]int32) (*track, error) {
	input, errI := newStream(src.Spec().Hidden, windows)
	middle, errM := newStream(src.Spec().Hidden, windows)
	return &track{src: src, stored: map[int]*stored{}, input: input, middle: middle}, errors.Join(errI, errM)
}

func (k *track) close() error {
	if k == nil {
		return nil
	}
	return errors.Join(k.input.close(), k.middle.close(), k.heads.close())
}

// next forgets what belongs to the layers before the given one, whose inputs are there.
func (k *track) next(layer int) error {
	k.have = atInput
	k.mu.Lock()
	for i, t := range k.src.Tensors() {
		if t.Layer < layer {
			delete(k.stored, i)
		}
	}
	k.mu.Unlock()
	err := k.heads.close()
	k.heads = nil
	return err
}

// embed fills input with the embeddings of all tokens.
func (k *track) embed(windows [][]int32) error {
	s := k.src.Spec()
	index := map[model.Role]int{}
	for i, t := range k.src.Tensors() {
		if t.Layer == model.NoLayer {
			index[t.Role] = i
		}
	}
	row := make([]float32, s.Hidden)
	for w, tokens := range windows {
		x := make([]float32, 0, len(tokens)*s.Hidden)
		for p, id := range tokens {
			if err := k.rows(index[model.RoleEmbed], int(id), 1, row); err != nil {
				return err
			}
			for _, v := range row {
				x = append(x, s.EmbedScale*v)
			}
			if s.Positions == 0 {
				continue
			}
			if err := k.rows(index[model.RolePositions], p, 1, row); err != nil {
				return err
			}
			for i, v := range row {
				x[len(x)-s.Hidden+i] += v
			}
		}
		if err := k.input.save(w, x); err != nil {
			return err
		}
	}
	return nil
}

// set takes the next rows of a tensor, from row0 on, those that are used if it is the embedding.
func (k *track) set(i int, packing scheme, row0 int, bytes []byte, used map[int]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.src.Tensors()[i]
	s := k.stored[i]
	if s == nil {
		s = &stored{scheme: packing, missing: t.Rows()}
		k.stored[i] = s
	}
	size := s.restBytes(t.Cols())
	s.missing -= len(bytes) / size
	if t.Role != model.RoleEmbed {
		s.bytes = append(s.bytes, bytes...)
		return
	}
	if s.rows == nil {
		s.rows = map[int][]byte{}
	}
	for ; len(bytes) > 0; bytes, row0 = bytes[size:], row0+1 {
		if used[row0] {
			s.rows[row0] = slices.Clone(bytes[:size])
		}
	}
}

// whole returns what counts in place of tensor i of src, or nil.
func (k *track) whole(i int) *stored {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.stored[i]; s != nil && s.missing == 0 {
		return s
	}
	return nil
}

// rows returns rows of a tensor as it will be in the bundle, if it was handed over.
func (k *track) rows(i, row0, n int, dst []float32) error {
	s := k.whole(i)
	if s == nil {
		return k.src.Rows(i, row0, n, dst)
	}
	cols := k.src.Tensors()[i].Cols()
	size := s.restBytes(cols)
	for r := range n {
		src, to := s.rows[row0+r], dst[r*cols:(r+1)*cols]
		if s.rows == nil {
			src = s.bytes[(row0+r)*size : (row0+r+1)*size]
		}
		for j := range to {
			switch s.bits {
			case 32:
				to[j] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*j:]))
			case 16:
				to[j] = quant.FromFloat16(binary.LittleEndian.Uint16(src[2*j:]))
			}
		}
		if s.block > 0 {
			quant.Scheme{Bits: s.bits, Block: s.block}.DecodeRow(to, src)
		}
	}
	return nil
}

// trackRun is a pass of a track's layer over all windows, up to the matrix of g or to the end.
type trackRun struct {
	*track
	t *Transformer
	g *gram // or nil

	programs map[int]*gpu.Program // by the tokens of a window

	// What the pass leaves that a later one begins with: which vectors, in which stream (nil: none),
	// and how far they are.
	reached place
	to      *stream
	v       vectors
}

// begin says what the pass leaves. A layer whose branches run side by side begins at its input every
// time.
func (r *trackRun) begin(windows [][]int32) (err error) {
	w, y, t := &r.t.w.layers[0], r.t.spec.Layer(0), r.t
	residual := vectors{buffer: t.act.x, stride: t.act.hidden}
	r.reached = r.have
	switch {
	case r.g == nil:
		r.to, r.v = r.input, residual
	case r.g.m == w.o && !y.Parallel:
		if r.heads == nil {
			r.heads, err = newStream(w.o.width, windows)
		}
		r.reached, r.to, r.v = afterHeads, r.heads, t.act.of(w.o.width)
	case (r.g.m == w.gateUp || r.g.m == w.expertsIn()) && !y.Parallel:
		r.reached, r.to, r.v = afterAttention, r.middle, residual
	}
	return err
}

// window runs the layer over one window of n tokens and saves what is kept of it.
func (r *trackRun) window(ctx context.Context, w, n int) error {
	rows := make([]int, 0, 4*n)
	for i := range n {
		rows = append(rows, 0, i, 0, 0)
	}
	t := r.t
	if err := errors.Join(r.upload(w, n), t.rows.Write(0, words32(rows...)), t.setStep(0, n, 0)); err != nil {
		return err
	}
	p, err := r.program(n)
	if err != nil {
		return err
	}
	if err := t.dev.Run(p); err != nil {
		return err
	}
	if r.to == nil {
		if w%waitEvery == 0 { // what waits to be run takes memory
			return t.dev.Wait(ctx)
		}
		return ctx.Err()
	}
	var out []float32
	if err := t.read(ctx, r.v.buffer, n*r.v.stride, &out); err != nil {
		return err
	}
	return r.to.save(w, dense(out, n, r.to.width, r.v.stride))
}

// waitEvery is how many windows may wait to be run.
const waitEvery = 8

// program returns what runs a window of n tokens.
func (r *trackRun) program(n int) (*gpu.Program, error) {
	if p := r.programs[n]; p != nil {
		return p, nil
	}
	rec := recorder{t: r.t, n: n, p: new(gpu.Program), begin: r.have, gram: r.g}
	rec.layer(0)
	if r.programs == nil {
		r.programs = map[int]*gpu.Program{}
	}
	r.programs[n] = rec.p
	return rec.p, rec.err
}

// upload writes a window's vectors to where the layer begins.
func (r *trackRun) upload(w, n int) error {
	residual := vectors{buffer: r.t.act.x, stride: r.t.act.hidden}
	switch r.have {
	case afterAttention:
		return r.middle.upload(w, n, residual)
	case afterHeads:
		if err := r.heads.upload(w, n, r.t.act.of(r.heads.width)); err != nil {
			return err
		}
	}
	return r.input.upload(w, n, residual)
}
