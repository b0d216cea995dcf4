package transformer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// track is what calibration text has become on its way through a model.
type track struct {
	src    model.Weights
	keeper *keeper

	mu      sync.Mutex
	stored  map[int]*stored // tensors that count in place of src's once they are whole, as far as still needed
	changed map[int]bool    // of these, the ones that became whole since t had them

	t *Transformer // of the layer, float32; nil before its first pass

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

func newTrack(src model.Weights, keeper *keeper) (*track, error) {
	k := &track{src: src, keeper: keeper, stored: map[int]*stored{}, changed: map[int]bool{}}
	var errI, errM error
	k.input, errI = keeper.stream(src.Spec().Hidden)
	k.middle, errM = keeper.stream(src.Spec().Hidden)
	return k, errors.Join(errI, errM)
}

func (k *track) close() error {
	if k == nil {
		return nil
	}
	k.unload()
	return errors.Join(k.input.close(), k.middle.close(), k.heads.close())
}

// unload takes the layer from the device.
func (k *track) unload() {
	if k.t != nil {
		k.t.Close()
		k.t = nil
	}
}

// load brings the layer to the device, or what was handed over of it since it was there.
func (k *track) load(ctx context.Context, layer int) error {
	src := newLayerSource(k, layer)
	late := k.late(src)
	if k.t == nil {
		longest := 0
		for _, w := range k.keeper.windows {
			longest = max(longest, len(w))
		}
		t, err := New(ctx, k.keeper.dev, src, Options{MaxSeqLen: longest, Chunk: longest})
		if err != nil {
			return err
		}
		if t.opts.Chunk < longest {
			t.Close()
			return fmt.Errorf("%w: windows of %d tokens: what the layer makes of more than %d is larger than this device's binding limit", ErrTooLarge, longest, t.opts.Chunk)
		}
		k.t = t
		return nil
	}
	for _, i := range late {
		if err := k.t.Reload(ctx, src, i); err != nil {
			return err
		}
	}
	return nil
}

// late returns the tensors of a layer, by their number in it, that became whole since it was asked last.
func (k *track) late(src *layerSource) (late []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, at := range src.index {
		if k.changed[at] {
			late = append(late, i)
			delete(k.changed, at)
		}
	}
	return late
}

// next forgets what belongs to the layers before the given one, whose inputs are there.
func (k *track) next(layer int) error {
	k.unload()
	k.have = atInput
	k.mu.Lock()
	for i, t := range k.src.Tensors() {
		if t.Layer < layer {
			delete(k.stored, i)
			delete(k.changed, i)
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
		if err := k.input.put(w, x); err != nil {
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
	if s.missing -= len(bytes) / size; s.missing == 0 {
		k.changed[i] = true
	}
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
				to[j] = block.FromFloat16(binary.LittleEndian.Uint16(src[2*j:]))
			}
		}
		if s.block > 0 {
			block.Scheme{Bits: s.bits, Block: s.block}.DecodeRow(to, src)
		}
	}
	return nil
}

// trackRun is a pass of a track's layer over all windows, up to the matrix of g or to the end.
type trackRun struct {
	*track
	g *gram // or nil

	programs map[int]*gpu.Program // by the tokens of a window

	// What the pass leaves that a later one begins with: which vectors, in which stream (nil: none),
	// and how far they are.
	reached place
	to      *stream
	v       vectors

	fed int // tokens that the kernels know of; 0: none
}

// begin says what the pass leaves. A layer whose branches run side by side begins at its input every
// time.
func (r *trackRun) begin() (err error) {
	w, y, t := &r.t.w.layers[0], r.t.spec.Layer(0), r.t
	residual := vectors{buffer: t.act.x, stride: t.act.hidden}
	r.reached = r.have
	switch {
	case r.g == nil:
		r.to, r.v = r.input, residual
	case r.g.m == w.o && !y.Parallel:
		if r.heads == nil {
			r.heads, err = r.keeper.stream(w.o.width)
		}
		r.reached, r.to, r.v = afterHeads, r.heads, t.act.of(w.o.width)
	case (r.g.m == w.gateUp || r.g.m == w.expertsIn()) && !y.Parallel:
		r.reached, r.to, r.v = afterAttention, r.middle, residual
	}
	return err
}

// window runs the layer over one window of n tokens and keeps what is to be kept of it.
func (r *trackRun) window(ctx context.Context, w, n int) error {
	if err := r.feed(n); err != nil {
		return err
	}
	programs, err := r.bring(w, n)
	if err != nil {
		return err
	}
	body, err := r.program(n)
	if err != nil {
		return err
	}
	programs = append(programs, body)
	var kept *gpu.Program
	if r.to != nil {
		if kept, err = r.to.keep(w, n, r.v); err != nil {
			return err
		}
	}
	if kept != nil {
		programs = append(programs, kept)
	}
	if err := r.t.dev.Run(programs...); err != nil {
		return err
	}
	if r.to == nil || kept != nil {
		if w%waitEvery == 0 { // what waits to be run takes memory
			return r.t.dev.Wait(ctx)
		}
		return ctx.Err()
	}
	var out []float32
	if err := r.t.read(ctx, r.v.buffer, n*r.v.stride, &out); err != nil {
		return err
	}
	return r.to.put(w, dense(out, n, r.to.width, r.v.stride))
}

// feed tells the kernels of a window's n tokens.
func (r *trackRun) feed(n int) error {
	if r.fed == n {
		return nil
	}
	r.fed = n
	rows := make([]int, 0, 4*n)
	for i := range n {
		rows = append(rows, 0, i, 0, 0)
	}
	return errors.Join(r.t.rows.Write(0, words32(rows...)), r.t.setStep(0, n, 0))
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

// bring brings a window's vectors to where the layer begins, by the programs that it returns.
func (r *trackRun) bring(w, n int) ([]*gpu.Program, error) {
	from, v := r.input, vectors{buffer: r.t.act.x, stride: r.t.act.hidden}
	if r.have == afterAttention {
		from = r.middle
	}
	p, err := from.bring(w, n, v)
	if err != nil {
		return nil, err
	}
	programs := []*gpu.Program{p}
	if r.have == afterHeads {
		if p, err = r.heads.bring(w, n, r.t.act.of(r.heads.width)); err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	return slices.DeleteFunc(programs, func(p *gpu.Program) bool { return p == nil }), nil
}
