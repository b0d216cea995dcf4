package calibrate

import (
	"context"
	"errors"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// beside is what a layer reads beside the residual stream, for all windows.
type beside struct {
	given  *stream         // what the layer is given of each token; nil: nothing
	caches map[int]*cached // of layers whose keys and values later ones read
	side   *stream         // residual streams beside the first, as graph.Side; nil: there are none
}

// cached are the keys and values of a layer, a whole cache for each window.
type cached struct{ keys, values *stream }

// floatsOf reports how many numbers of a token a track keeps for what layers read beside the residual stream.
func floatsOf(s *model.Spec) int {
	n := graph.Stride(s.LayerInputs.Width) + sideOf(s)
	for i := range s.Layers {
		if a := &s.Layer(i).Attention; s.KVRead(i) {
			n += 2 * a.KVHeads * a.HeadDim
		}
	}
	return n
}

// sideOf reports how many numbers of a token residual streams beside the first have.
func sideOf(s *model.Spec) int { return max(0, s.Streams.Count-1) * graph.Stride(s.Hidden) }

// openStreams fills the residual streams of a window beside the first, x [tokens][hidden].
func (k *track) openStreams(window int, x []float32) (err error) {
	s := k.Spec()
	if sideOf(s) == 0 {
		return nil
	}
	if k.side == nil {
		if k.side, err = k.keeper.stream(sideOf(s)); err != nil {
			return err
		}
	}
	others, err := cpu.Streams(context.Background(), k.Model, x)
	if err != nil {
		return err
	}
	tokens := len(x) / s.Hidden
	wide := make([]float32, tokens*sideOf(s))
	for t := range tokens {
		for i, o := range others {
			copy(wide[t*sideOf(s)+i*graph.Stride(s.Hidden):], o[t*s.Hidden:(t+1)*s.Hidden])
		}
	}
	return k.side.write(window, wide)
}

// give computes what a layer is given of the tokens.
func (k *track) give(layer int) error {
	err := k.given.close()
	k.given = nil
	if err != nil || !k.Spec().Layer(layer).TakesInput {
		return err
	}
	if k.given, err = k.keeper.stream(k.Spec().LayerInputs.Width); err != nil {
		return err
	}
	for w, tokens := range k.keeper.windows {
		x, err := cpu.LayerInput(context.Background(), k.Model, layer, tokens)
		if err != nil {
			return err
		}
		if err := k.given.write(w, x); err != nil {
			return err
		}
	}
	return nil
}

// restoreBeside returns the programs that bring a window's part of what the layer reads to the device.
func (r *trackRun) restoreBeside(w, n int) (programs []*gpu.Program, err error) {
	add := func(s *stream, n int, v graph.Vectors) {
		if err == nil {
			var p *gpu.Program
			if p, err = s.load(w, n, v); p != nil {
				programs = append(programs, p)
			}
		}
	}
	if r.given != nil {
		add(r.given, n, r.layer.LayerInputs(0))
	}
	if r.side != nil {
		add(r.side, n, r.layer.Side())
	}
	if from := r.Spec().KVLayer(r.number); from != r.number {
		c, cache := r.caches[from], r.layer.Cache(0)
		add(c.keys, 1, whole(cache.K))
		add(c.values, 1, whole(cache.V))
	}
	return programs, err
}

// keepBeside keeps a window's residual streams beside the first, if the pass goes to the layer's end, and the layer's keys and
// values, if the pass has made them, and a later layer reads them.
func (r *trackRun) keepBeside(ctx context.Context, w, n int) error {
	if r.side != nil && r.probe == nil {
		if err := r.keep(ctx, r.side, w, n, r.layer.Side()); err != nil {
			return err
		}
	}
	made := r.have == graph.AtInput && (r.probe == nil || r.probe.input != model.InputAttention)
	if !made || !r.Spec().KVRead(r.number) {
		return nil
	}
	cache := r.layer.Cache(0)
	if r.caches[r.number] == nil {
		keys, errK := r.keeper.once(int(cache.K.Size() / 4))
		values, errV := r.keeper.once(int(cache.V.Size() / 4))
		if r.caches == nil {
			r.caches = map[int]*cached{}
		}
		r.caches[r.number] = &cached{keys, values}
		if err := errors.Join(errK, errV); err != nil {
			return err
		}
	}
	c := r.caches[r.number]
	return errors.Join(r.keep(ctx, c.keys, w, 1, whole(cache.K)), r.keep(ctx, c.values, w, 1, whole(cache.V)))
}

// keep stores n vectors in a stream.
func (r *trackRun) keep(ctx context.Context, s *stream, w, n int, v graph.Vectors) error {
	p, err := s.save(w, n, v)
	switch {
	case err != nil:
		return err
	case p != nil:
		return r.layer.Device().Run(p)
	}
	x, err := r.layer.ReadVectors(ctx, v, n, s.width)
	if err != nil {
		return err
	}
	return s.write(w, x)
}

// whole takes a buffer for one vector.
func whole(b *arena.Buffer) graph.Vectors {
	return graph.Vectors{Buffer: b, Stride: int(b.Size() / 4)}
}

// closeBeside frees what is kept.
func (k *track) closeBeside() error {
	err := errors.Join(k.given.close(), k.side.close())
	for _, c := range k.caches {
		err = errors.Join(err, c.keys.close(), c.values.close())
	}
	return err
}

// once makes a stream of one vector for each window.
func (k *keeper) once(width int) (*stream, error) {
	one := *k
	one.windows = make([][]int32, len(k.windows))
	for i := range one.windows {
		one.windows[i] = []int32{0}
	}
	s, err := one.stream(width)
	k.files = one.files
	return s, err
}
