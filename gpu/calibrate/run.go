package calibrate

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// trackRun is a pass of a track's layer over all windows, up to the matrix that the probe wants or to the end.
type trackRun struct {
	*track
	probe *probe // nil: to the end
	sums  *sums  // over what the probe finds; nil: none

	programs map[int]*gpu.Program // by the tokens of a window

	// What the pass keeps for a later one to begin with: the vectors v, in the stream to (nil: nothing), which are
	// those at the place reached.
	reached graph.Place
	to      *stream
	v       graph.Vectors

	fed int // how many tokens the kernels were told of; 0: none
}

// begin decides what the pass keeps. A layer with parallel branches, with a recurrence beside attention, or with several
// residual streams, begins at its input every time.
func (r *trackRun) begin() (err error) {
	r.reached = r.have
	switch {
	case r.probe == nil:
		r.to, r.v = r.input, r.layer.Residual()
	case r.layer.spec().Parallel || r.layer.spec().Twofold() || r.side != nil:
	case r.probe.input == model.InputHeads:
		if r.heads == nil {
			r.heads, err = r.keeper.stream(r.probe.m.Width)
		}
		r.reached, r.to, r.v = graph.AfterHeads, r.heads, r.layer.Heads(0)
	case r.probe.input == model.InputMLP || r.probe.input == model.InputShared:
		r.reached, r.to, r.v = graph.AfterAttention, r.middle, r.layer.Residual()
	}
	return err
}

// window runs the layer over one window of n tokens and keeps what a later pass needs.
func (r *trackRun) window(ctx context.Context, w, n int) error {
	if err := r.feed(n); err != nil {
		return err
	}
	programs, err := r.restore(w, n)
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
		if kept, err = r.to.save(w, n, r.v); err != nil {
			return err
		}
	}
	if kept != nil {
		programs = append(programs, kept)
	}
	if err := r.layer.Device().Run(programs...); err != nil {
		return err
	}
	if err := r.keepBeside(ctx, w, n); err != nil {
		return err
	}
	if r.to == nil || kept != nil {
		if w%waitEvery == 0 { // queued work takes memory
			return r.layer.Device().Wait(ctx)
		}
		return ctx.Err()
	}
	out, err := r.layer.ReadVectors(ctx, r.v, n, r.to.width)
	if err != nil {
		return err
	}
	return r.to.write(w, out)
}

// feed tells the kernels of a window's n tokens.
func (r *trackRun) feed(n int) error {
	if r.fed == n {
		return nil
	}
	r.fed = n
	rows := make([]graph.Row, n)
	for i := range rows {
		rows[i].Position = i
	}
	return r.layer.Feed(rows)
}

// waitEvery is how many windows may be queued.
const waitEvery = 8

// program returns the program that runs the layer over a window of n tokens.
func (r *trackRun) program(n int) (*gpu.Program, error) {
	if p := r.programs[n]; p != nil {
		return p, nil
	}
	var tap graph.Tap
	if r.probe != nil {
		tap = &sink{r.probe, r.sums}
	}
	pass, err := r.layer.Layer(0, n, r.have, tap)
	if err != nil {
		return nil, err
	}
	p, err := r.layer.Program(pass)
	if err != nil {
		return nil, err
	}
	if r.programs == nil {
		r.programs = map[int]*gpu.Program{}
	}
	r.programs[n] = p
	return p, nil
}

// restore returns the programs that copy a window's vectors to where the layer begins.
func (r *trackRun) restore(w, n int) ([]*gpu.Program, error) {
	from := r.input
	if r.have == graph.AfterAttention {
		from = r.middle
	}
	p, err := from.load(w, n, r.layer.Residual())
	if err != nil {
		return nil, err
	}
	programs := []*gpu.Program{p}
	if r.have == graph.AfterHeads {
		if p, err = r.heads.load(w, n, r.layer.Heads(0)); err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	beside, err := r.restoreBeside(w, n)
	return slices.DeleteFunc(append(programs, beside...), func(p *gpu.Program) bool { return p == nil }), err
}
