//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

// Numbers of WGPUFeatureName. They changed in 2025: all that a feature has had are asked for, where the
// adapter lists them, and package gpu finds out by use what it has got. None of the others that may
// have these numbers changes how kernels run.
var (
	featureCore      = []uint32{1, 18}
	featureTimestamp = []uint32{9, 3}
	featureF16       = []uint32{11, 10}
	featureSubgroups = []uint32{18, 17}
	featureMatrix    = []uint32{0x50034, 0x50035, 0x50036, 0x50037, 0x50038}
	featureSync      = []uint32{0x50004} // implicit device synchronization: calls may come from several threads
)

// The kinds of errors of webgpu.h.
const (
	ErrorValidation  = 2
	ErrorOutOfMemory = 3
	ErrorInternal    = 4
)

// Failure is an error that the library has reported.
type Failure struct {
	Kind    uint32 // one of the Error constants
	Message string
}

// Device is an open adapter and its queue.
type Device struct {
	l     *Library
	in    *Instance
	h     uintptr
	queue uintptr

	synced   bool // calls may come from several threads
	tokens   []uintptr
	cache    *cacheUse  // nil: there is none
	kept     uintptr    // its token
	compiles sync.Mutex // held while a shader module is made: its errors are the module's

	mu      sync.Mutex // guards what follows
	failure *Failure   // the first since it was taken
	module  string     // what is wrong with the shader module being made
	lost    string     // why the device was lost
	gone    bool
}

// Open opens the adapter with all of its limits and of the features that kernels may use. What is compiled on the
// device is kept in cache, if that is not nil and the library takes one in a way that is known: Cached tells.
func (a *Adapter) Open(cache Cache) (*Device, error) {
	next := unsafe.Pointer(newToggles(enabledToggles, disabledToggles))
	if cache == nil {
		return a.open(next)
	}
	layout := a.cacheLayout(cache)
	if layout == cacheUnknown {
		return a.open(next)
	}
	use, token := keep(cache)
	d, err := a.open(layout.descriptor(next, token))
	if err != nil {
		stopKeeping(token)
		return nil, err
	}
	d.cache, d.kept = use, token
	return d, nil
}

// Cached reports whether what is compiled on the device is kept.
func (d *Device) Cached() bool { return d.cache != nil }

// Synchronized reports whether calls may come from several threads at once, but for those of one Encoder.
func (d *Device) Synchronized() bool { return d.synced }

// open opens the adapter; next is the chain of the device's descriptor.
func (a *Adapter) open(next unsafe.Pointer) (*Device, error) {
	d := &Device{l: a.in.l, in: a.in}
	var want []uint32
	for _, f := range slices.Concat(featureCore, featureTimestamp, featureF16, featureSubgroups, featureMatrix, featureSync) {
		if slices.Contains(a.features, f) && !slices.Contains(want, f) {
			want = append(want, f)
		}
	}
	limits := a.Limits
	limits.next = 0
	lost, failed := listen(d.onLost), listen(d.onError)
	d.tokens = []uintptr{lost, failed}
	desc := &deviceDescriptor{
		next: next, featureCount: uint64(len(want)), features: unsafe.SliceData(want),
		limits: &limits, lost: callbackInfo{mode: modeSpontaneous, callback: eventCallback(), token: lost},
	}
	desc.uncaptured.callback, desc.uncaptured.token = eventCallback(), failed
	_, h, message := a.in.request(adapterRequestDevice, a.h, address(desc))
	runtime.KeepAlive(desc)
	if h == 0 {
		d.forget()
		return nil, errors.New(message)
	}
	d.h = h
	d.queue = d.l.call(deviceGetQueue, h)
	d.synced = slices.Contains(want, featureSync[0])
	return d, nil
}

func (d *Device) forget() {
	for _, t := range d.tokens {
		forget(t)
	}
	stopKeeping(d.kept)
}

// onError keeps the first error: those after it tend to be its consequences.
func (d *Device) onError(_ uint32, kind uintptr, message string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case strings.Contains(message, "CreateShaderModule("):
		if d.module == "" {
			d.module = message
		}
	case d.failure == nil:
		d.failure = &Failure{uint32(kind), message}
	}
}

func (d *Device) onLost(_ uint32, _ uintptr, message string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone, d.lost = true, message
}

// Failure takes the first error since the last one that was taken.
func (d *Device) Failure() *Failure {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.failure
	d.failure = nil
	return f
}

// Lost reports whether the device is lost, and why.
func (d *Device) Lost() (why string, lost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost, d.gone
}

// Lose loses the device, as a fault of the driver would, and reports whether the library can do that: for tests.
func (d *Device) Lose(why string) bool {
	const unknown = 1 // reason
	return d.tell(deviceForceLoss, unknown, why)
}

// Fail has the library report an error, one of the Error constants, as if a call had met it, and reports whether it can: for
// tests.
func (d *Device) Fail(kind uint32, why string) bool {
	return d.tell(deviceInjectError, uintptr(kind), why)
}

// tell calls one of tellProcs, with a number and a text, if the library has it.
func (d *Device) tell(p proc, n uintptr, s string) bool {
	if d.l.fn[p] == 0 {
		return false
	}
	text := view(s)
	d.l.call(p, append([]uintptr{d.h, n}, text.words()...)...)
	runtime.KeepAlive(&text)
	return true
}

// Close destroys the device.
func (d *Device) Close() {
	d.l.call(queueRelease, d.queue)
	d.l.call(deviceDestroy, d.h)
	d.l.call(deviceRelease, d.h)
	d.forget()
}

// NewBuffer makes a buffer; 0 is a failure. mapped buffers are the CPU's until Unmap.
func (d *Device) NewBuffer(label string, size uint64, usage uint32, mapped bool) uintptr {
	desc := &bufferDescriptor{label: view(label), usage: uint64(usage), size: size}
	if mapped {
		desc.mapped = 1
	}
	return d.l.call(deviceCreateBuffer, d.h, uintptr(unsafe.Pointer(desc)))
}

// FreeBuffer gives a buffer and its memory back.
func (d *Device) FreeBuffer(b uintptr) {
	d.l.call(bufferDestroy, b)
	d.l.call(bufferRelease, b)
}

// Write copies data to a buffer before what is submitted next.
func (d *Device) Write(b uintptr, offset uint64, data []byte) {
	d.l.call(queueWriteBuffer, d.queue, b, uintptr(offset), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
}

// The modes of Map.
const (
	MapRead  = 1
	MapWrite = 2
)

// Map asks for n bytes of a buffer to be mapped.
func (d *Device) Map(b uintptr, mode int, n uint64) Future {
	return d.l.begin(bufferMapAsync, b, uintptr(mode), 0, uintptr(n))
}

// Mapped returns n bytes of a mapped buffer, for reading or for writing, nil if it is not mapped.
func (d *Device) Mapped(b uintptr, mode int, n uint64) []byte {
	p := bufferGetConstMappedRange
	if mode == MapWrite {
		p = bufferGetMappedRange
	}
	address := d.l.call(p, b, 0, uintptr(n))
	if address == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at(address)), n)
}

// Unmap takes a mapping back, also one that has not come yet.
func (d *Device) Unmap(b uintptr) { d.l.call(bufferUnmap, b) }

// Done is done when all that was submitted is.
func (d *Device) Done() Future { return d.l.begin(queueOnSubmittedWorkDone, d.queue) }

// Binding is one entry of a bind group.
type Binding struct {
	Buffer       uintptr
	Offset, Size uint64 // bytes
}

// NewBindGroup binds ranges of buffers; 0 is a failure.
func (d *Device) NewBindGroup(label string, layout uintptr, bindings []Binding) uintptr {
	entries := make([]groupEntry, len(bindings))
	for i, b := range bindings {
		entries[i] = groupEntry{binding: uint32(i), buffer: b.Buffer, offset: b.Offset, size: b.Size}
	}
	desc := &groupDescriptor{label: view(label), layout: layout, count: uint64(len(entries)), entries: unsafe.SliceData(entries)}
	return d.l.call(deviceCreateBindGroup, d.h, uintptr(unsafe.Pointer(desc)))
}

// FreeBindGroup gives a bind group back.
func (d *Device) FreeBindGroup(g uintptr) { d.l.call(bindGroupRelease, g) }

// The kinds of bindings.
const (
	BindUniform     = 2
	BindStorage     = 3
	BindReadStorage = 4
)

// NewPipeline compiles a kernel whose bindings are of the kinds given. Several goroutines may compile at once.
func (d *Device) NewPipeline(label, code, entry string, kinds []uint32) (pipeline, layout uintptr, err error) {
	module, err := d.newModule(label, code)
	if err != nil {
		return 0, 0, err
	}
	defer d.l.call(shaderModuleRelease, module)
	layout = d.newLayout(label, kinds)
	layouts := &pipelineLayoutDescriptor{label: view(label), count: 1, layouts: &layout}
	pl := d.l.call(deviceCreatePipelineLayout, d.h, uintptr(unsafe.Pointer(layouts)))
	defer d.l.call(pipelineLayoutRelease, pl)
	desc := &pipelineDescriptor{label: view(label), layout: pl, module: module, entry: view(entry)}
	status, pipeline, message := d.in.request(deviceCreateComputePipelineAsync, d.h, address(desc))
	runtime.KeepAlive(desc)
	const success = 1
	if status != success || pipeline == 0 {
		d.FreeLayout(layout)
		return 0, 0, fmt.Errorf("%s", strings.TrimSpace(message))
	}
	return pipeline, layout, nil
}

// newModule parses WGSL.
func (d *Device) newModule(label, code string) (uintptr, error) {
	d.compiles.Lock()
	defer d.compiles.Unlock()
	source := &wgslSource{chained: chained{sType: sTypeWGSL}, code: view(code)}
	desc := &moduleDescriptor{next: unsafe.Pointer(source), label: view(label)}
	module := d.l.call(deviceCreateShaderModule, d.h, uintptr(unsafe.Pointer(desc)))
	d.mu.Lock()
	wrong := d.module
	d.module = ""
	d.mu.Unlock()
	if wrong != "" {
		d.l.call(shaderModuleRelease, module)
		return 0, errors.New(strings.TrimSpace(wrong))
	}
	return module, nil
}

// newLayout makes the layout of a bind group.
func (d *Device) newLayout(label string, kinds []uint32) uintptr {
	const compute = 4
	entries := make([]layoutEntry, len(kinds))
	for i, k := range kinds {
		entries[i].binding, entries[i].visibility, entries[i].buffer.kind = uint32(i), compute, k
	}
	desc := &layoutDescriptor{label: view(label), count: uint64(len(entries)), entries: unsafe.SliceData(entries)}
	return d.l.call(deviceCreateBindGroupLayout, d.h, uintptr(unsafe.Pointer(desc)))
}

// FreeLayout gives the layout of a bind group back.
func (d *Device) FreeLayout(layout uintptr) { d.l.call(bindGroupLayoutRelease, layout) }

// FreePipeline gives a pipeline back.
func (d *Device) FreePipeline(pipeline uintptr) { d.l.call(computePipelineRelease, pipeline) }

// NewQueries makes room for n timestamps, in nanoseconds when they are resolved.
func (d *Device) NewQueries(n int) uintptr {
	const timestamp = 2
	desc := &queriesDescriptor{kind: timestamp, count: uint32(n)}
	return d.l.call(deviceCreateQuerySet, d.h, uintptr(unsafe.Pointer(desc)))
}

// FreeQueries gives them back.
func (d *Device) FreeQueries(queries uintptr) { d.l.call(querySetRelease, queries) }
