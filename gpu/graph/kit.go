package graph

import (
	"context"
	"runtime"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Kit is what recording needs apart from a model: the choice of kernels, specialized kernels, the uniforms that
// products read, and placeholders for unused bindings.
type Kit struct {
	dev         *gpu.Device // nil: memory is only counted
	arena       *arena.Arena
	choose      chooser
	specialized map[string]kernels.Kernel // by Consts.Key
	sizes       *arena.Uniforms           // of products
	unread      *arena.Buffer             // placeholder for unread bindings
	unwritten   *arena.Buffer             // placeholder for unwritten bindings
	step        *stepBuffer
	halves      halves
}

// placeholderBytes is the size of a placeholder.
const placeholderBytes = 256

// NewKit returns a Kit whose buffers are reserved in a, to be allocated before anything is recorded.
func NewKit(dev *gpu.Device, a *arena.Arena, c Choice) *Kit {
	return &Kit{
		dev: dev, arena: a, choose: newChooser(dev, c), specialized: map[string]kernels.Kernel{},
		sizes:     arena.NewUniforms(a, PurposeActivations),
		unread:    a.Reserve(PurposeActivations, placeholderBytes, gpu.Storage),
		unwritten: a.Reserve(PurposeActivations, placeholderBytes, gpu.Storage),
		step:      reserveStep(a),
	}
}

// With returns a Kit with another choice of kernels, which shares everything else with k.
func (k *Kit) With(c Choice) *Kit {
	other := *k
	other.choose = newChooser(k.dev, c)
	return &other
}

// Device returns the device that the Kit records for.
func (k *Kit) Device() *gpu.Device { return k.dev }

// Recorder returns a Recorder for passes of n tokens.
func (k *Kit) Recorder(name string, n int) *Recorder {
	return &Recorder{Kit: k, n: n, pass: &Pass{Name: name}}
}

// specialize returns a kernel in the form that suits the device. It keeps them, because layers repeat the same ones.
// Loops are not unrolled for a CPU, where compiling them takes longer than running them saves.
func (k *Kit) specialize(name string, c kernels.Consts) (kernels.Kernel, error) {
	key := c.Key(name)
	if s, ok := k.specialized[key]; ok {
		return s, nil
	}
	s, err := kernels.Specialize(name, c)
	if err == nil && !k.dev.OnCPU() {
		s, err = s.Unrolled()
	}
	if err == nil {
		k.specialized[key] = s
	}
	return s, err
}

// Program makes a program that runs passes one after the other. It compiles the kernels that are not compiled yet and
// creates bind groups.
func (k *Kit) Program(passes ...*Pass) (*gpu.Program, error) {
	p := new(gpu.Program)
	for _, pass := range passes {
		for _, d := range pass.Dispatches {
			if d.Copies() {
				p.Copy(d.To, d.From)
				continue
			}
			pipeline, err := k.dev.Pipeline(d.Kernel)
			if err != nil {
				return nil, err
			}
			group, err := k.arena.Group(pipeline, arena.Ranges(d.Buffers)...)
			if err != nil {
				return nil, err
			}
			p.Dispatch(pipeline, group, uint32(d.X), uint32(d.Y), 1)
		}
	}
	return p, p.Err()
}

// Missing lists the kernels of passes that are not compiled yet.
func Missing(dev *gpu.Device, passes []*Pass) (list []kernels.Kernel) {
	seen := map[string]bool{}
	for _, p := range passes {
		for _, d := range p.Dispatches {
			if !d.Copies() && !seen[d.Kernel.Key] {
				seen[d.Kernel.Key] = true
				if !dev.Compiled(d.Kernel.Key) {
					list = append(list, d.Kernel)
				}
			}
		}
	}
	return list
}

// Compile compiles the kernels of passes with several goroutines.
func Compile(ctx context.Context, dev *gpu.Device, passes []*Pass) error {
	list := Missing(dev, passes)
	next := make(chan kernels.Kernel, len(list))
	for _, k := range list {
		next <- k
	}
	close(next)
	compile := func(ctx context.Context) error {
		for k := range next {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := dev.Pipeline(k); err != nil {
				return err
			}
		}
		return nil
	}
	work := make([]func(context.Context) error, min(runtime.GOMAXPROCS(0), len(list)))
	for i := range work {
		work[i] = compile
	}
	return together(ctx, work...)
}
