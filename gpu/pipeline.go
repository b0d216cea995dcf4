package gpu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Pipeline is a compiled kernel. The device owns it.
type Pipeline struct {
	d         *Device
	k         kernels.Kernel
	h, layout handle
	took      time.Duration
}

// Key names the kernel and its constants.
func (p *Pipeline) Key() string { return p.k.Key }

// Kernel returns what the pipeline was compiled from.
func (p *Pipeline) Kernel() kernels.Kernel { return p.k }

// Pipeline compiles k the first time it is asked for k.Key. Several goroutines may compile at once.
func (d *Device) Pipeline(k kernels.Kernel) (*Pipeline, error) {
	if err := d.enter(context.Background()); err != nil {
		return nil, inKernel(k.Key, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if p := d.pipelines[k.Key]; p != nil {
			if p.k.Source != k.Source {
				return nil, fmt.Errorf("kernel %s: two kernels have this key", k.Key)
			}
			return p, nil
		}
		done := d.compiling[k.Key]
		if done == nil {
			break
		}
		d.mu.Unlock() // another goroutine is compiling it
		<-done
		d.mu.Lock()
	}
	if err := d.fits(k); err != nil {
		return nil, inKernel(k.Key, err)
	}
	p, err := d.compile(k)
	if err != nil {
		return nil, inKernel(k.Key, d.note(err))
	}
	return p, nil
}

// compile makes a pipeline. It needs d.mu, and unlocks it while the driver works.
func (d *Device) compile(k kernels.Kernel) (*Pipeline, error) {
	done := make(chan struct{})
	d.compiling[k.Key] = done
	defer func() {
		delete(d.compiling, k.Key)
		close(done)
	}()
	if len(d.compiling) == 1 {
		d.compileSince = time.Now()
	}
	d.mu.Unlock()
	start := time.Now()
	h, layout, err := d.b.newPipeline(k)
	if older, ok := k.OlderMatrices(); ok && err != nil {
		h, layout, err = d.olderPipeline(older, err)
	}
	took := time.Since(start)
	d.mu.Lock()
	if len(d.compiling) == 1 {
		d.stats.CompileTime += time.Since(d.compileSince)
	}
	if err != nil {
		return nil, err
	}
	d.stats.Pipelines++
	d.log.Debug("kernel compiled", "kernel", k.Key, "time", took)
	p := &Pipeline{d: d, k: k, h: h, layout: layout, took: took}
	d.pipelines[k.Key] = p
	return p, nil
}

// olderPipeline compiles a kernel in the form that older compilers of subgroup matrices take, and returns the first error,
// of the form that newer ones take, if that fails too.
func (d *Device) olderPipeline(k kernels.Kernel, first error) (h, layout handle, err error) {
	if h, layout, err = d.b.newPipeline(k); err != nil {
		err = errors.Join(first, err)
	}
	return h, layout, err
}

// Compiled reports whether the kernel of a key is compiled.
func (d *Device) Compiled(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pipelines[key] != nil
}

// CompileTime reports how long the driver took to compile the kernel of a key, 0 if it has not.
func (d *Device) CompileTime(key string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.pipelines[key]; p != nil {
		return p.took
	}
	return 0
}

// Fits reports why a kernel cannot run on the device, as far as its limits tell.
func (d *Device) Fits(k kernels.Kernel) error {
	if err := d.fits(k); err != nil {
		return inKernel(k.Key, err)
	}
	return nil
}

// fits checks a kernel against the limits, some of which no driver checks.
func (d *Device) fits(k kernels.Kernel) error {
	l := d.limits
	var uniforms, storages int
	for _, b := range k.Bindings {
		if b == kernels.Uniform {
			uniforms++
		} else {
			storages++
		}
	}
	for i, n := range k.WorkgroupSize {
		if n == 0 || n > l.MaxWorkgroupSize[i] {
			return fmt.Errorf("workgroup size %v: this device's limits are %v", k.WorkgroupSize, l.MaxWorkgroupSize)
		}
	}
	switch {
	case !d.features.Runs(k):
		return fmt.Errorf("it needs %s, which this device does not fully support", strings.Join(k.Needs, ", "))
	case k.Entry == "" || len(k.MinSizes) != len(k.Bindings):
		return errors.New("it was not made by package kernels")
	case !utf8.ValidString(k.Key + k.Source):
		return errors.New("it is not UTF-8")
	case k.Invocations() > l.MaxInvocations:
		return fmt.Errorf("%d invocations per workgroup: this device allows %d", k.Invocations(), l.MaxInvocations)
	case k.WorkgroupBytes > l.MaxWorkgroupBytes:
		return fmt.Errorf("%d bytes of workgroup memory: this device has %d", k.WorkgroupBytes, l.MaxWorkgroupBytes)
	case storages > l.StorageBuffersPerStage:
		return fmt.Errorf("%d storage buffers: this device binds %d", storages, l.StorageBuffersPerStage)
	case uniforms > l.UniformBuffersPerStage:
		return fmt.Errorf("%d uniform buffers: this device binds %d", uniforms, l.UniformBuffersPerStage)
	}
	return nil
}

// Range is a part of a buffer, in bytes. Size 0 means the rest.
type Range struct {
	Buffer       *Buffer
	Offset, Size uint64
}

// BindGroup binds ranges of buffers to a pipeline.
type BindGroup struct {
	d        *Device
	p        *Pipeline
	h        handle
	ranges   []Range
	released bool // guarded by d.mu
}

// BindGroup binds r[i] to p's binding i. Offsets are multiples of Align.
func (d *Device) BindGroup(p *Pipeline, r ...Range) (*BindGroup, error) {
	if p == nil || p.d != d {
		return nil, errors.New("bind group: the pipeline is nil or belongs to another device")
	}
	if err := d.enter(context.Background()); err != nil {
		return nil, fmt.Errorf("kernel %s: bind group: %w", p.k.Key, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, err := d.entries(p, r)
	if err != nil {
		return nil, inKernel(p.k.Key, err)
	}
	h, err := d.b.newBindGroup(p.k.Key, p.layout, entries)
	if err != nil {
		return nil, fmt.Errorf("kernel %s: bind group: %w", p.k.Key, d.note(err))
	}
	g := &BindGroup{d: d, p: p, h: h, ranges: append([]Range(nil), r...)}
	d.groups[g] = struct{}{}
	return g, nil
}

// entries checks ranges against the bindings of a kernel.
func (d *Device) entries(p *Pipeline, r []Range) ([]entry, error) {
	if len(r) != len(p.k.Bindings) {
		return nil, fmt.Errorf("got %d buffers: the kernel binds %d", len(r), len(p.k.Bindings))
	}
	entries := make([]entry, len(r))
	for i, rg := range r {
		size, err := d.usable(rg)
		if err == nil {
			err = d.bindable(rg, size, p.k.Bindings[i], p.k.MinSizes[i])
		}
		if err != nil {
			return nil, fmt.Errorf("binding %d: %w", i, err)
		}
		entries[i] = entry{rg.Buffer.h, rg.Offset, size}
		for j := range i {
			if err := conflict(r[j].Buffer, entries[j], p.k.Bindings[j], entries[i], p.k.Bindings[i]); err != nil {
				return nil, fmt.Errorf("bindings %d and %d: %w", j, i, err)
			}
		}
	}
	return entries, nil
}

// bindable checks one range against the requirements of its binding.
func (d *Device) bindable(r Range, size uint64, b kernels.Binding, least uint64) error {
	usage, limit := Storage, d.limits.MaxBinding
	if b == kernels.Uniform {
		usage, limit = Uniform, d.limits.MaxUniformBinding
	}
	name := r.Buffer.purpose
	switch {
	case r.Buffer.usage&usage == 0:
		return fmt.Errorf("buffer %q was not made to be bound as %s", name, b)
	case r.Offset%Align != 0:
		return fmt.Errorf("buffer %q: offset %d is not a multiple of %d", name, r.Offset, Align)
	case size%4 != 0:
		return fmt.Errorf("buffer %q: size %d is not a multiple of 4", name, size)
	case size < least:
		return fmt.Errorf("buffer %q: %d bytes: the kernel wants at least %d", name, size, least)
	case size > limit:
		return fmt.Errorf("buffer %q: %d bytes: this device binds at most %d as %s", name, size, limit, b)
	}
	return nil
}

// conflict reports why two bindings of one dispatch exclude each other: a buffer that is written
// can have no other use, except that two disjoint ranges may both be written.
func conflict(buf *Buffer, a entry, ab kernels.Binding, b entry, bb kernels.Binding) error {
	if a.buffer != b.buffer || ab != kernels.Storage && bb != kernels.Storage {
		return nil
	}
	if ab != bb {
		return fmt.Errorf("buffer %q is bound both for writing and for reading", buf.purpose)
	}
	if a.offset < b.offset+b.size && b.offset < a.offset+a.size {
		return fmt.Errorf("buffer %q: the ranges bound for writing overlap", buf.purpose)
	}
	return nil
}

// Release frees the bind group. Releasing twice does nothing.
func (g *BindGroup) Release() {
	if g != nil {
		g.d.release(func() { g.d.freeBindGroup(g) })
	}
}

// freeBindGroup needs d.mu.
func (d *Device) freeBindGroup(g *BindGroup) {
	if g.released {
		return
	}
	g.released = true
	d.b.freeBindGroup(g.h)
	delete(d.groups, g)
	d.generation.Add(1)
}
