//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Instance is where adapters are found and futures are waited for.
type Instance struct {
	l *Library
	h uintptr
}

// The toggles of Dawn that are switched: unsafe_apis allows features that are still experiments, subgroup matrices need
// Vulkan's memory model, and float16 is off on NVIDIA's GPUs unless asked for, because it is less exact there than WGSL
// wants in places: a kernel that uses it is compared with one that does not before it is chosen. Timestamps
// are not to be rounded to a tenth of a millisecond. A library ignores toggles that it does not know.
var (
	enabledToggles  = []string{"allow_unsafe_apis", "use_vulkan_memory_model", "vulkan_enable_f16_on_nvidia"}
	disabledToggles = []string{"timestamp_quantization"}
)

// newToggles returns the switches, to be chained. They are as good as constant.
func newToggles(on, off []string) *toggles {
	list := func(names []string) (**byte, uint64) {
		if len(names) == 0 {
			return nil, 0
		}
		ptrs := make([]*byte, len(names))
		for i, n := range names {
			ptrs[i] = unsafe.StringData(n + "\x00")
		}
		return &ptrs[0], uint64(len(ptrs))
	}
	t := &toggles{chained: chained{sType: sTypeToggles}}
	t.enabled, t.enabledCount = list(on)
	t.disabled, t.disabledCount = list(off)
	return t
}

// NewInstance makes an instance. Release it.
func (l *Library) NewInstance() (*Instance, error) {
	t := newToggles(enabledToggles, nil)
	var h uintptr
	if l.capabilities {
		d := &instanceOld{next: unsafe.Pointer(t)}
		d.caps.timedWait, d.caps.waitCount = 1, 8
		h = l.call(createInstance, uintptr(unsafe.Pointer(d)))
	} else {
		f := uint32(featureTimedWait)
		d := &instanceNew{next: unsafe.Pointer(t), featureCount: 1, features: &f, limits: &instanceLimits{waitCount: 8}}
		h = l.call(createInstance, uintptr(unsafe.Pointer(d)))
	}
	if h == 0 {
		return nil, fmt.Errorf("%w: %s: it makes no instance", ErrLibrary, l.path)
	}
	return &Instance{l, h}, nil
}

// Release gives the instance back. One of a library stays: with the last one drivers would be unloaded, and some leave
// things behind each time, of which a process can have a thousand.
func (in *Instance) Release() {
	if !in.l.kept.CompareAndSwap(0, in.h) {
		in.l.call(instanceRelease, in.h)
	}
}

// DotProduct4x8 reports whether WGSL has dot4I8Packed.
func (in *Instance) DotProduct4x8() bool {
	const packed4x8IntegerDotProduct = 2
	return uint32(in.l.call(instanceHasWGSLLanguageFeature, in.h, packed4x8IntegerDotProduct)) != 0
}

// Info is what an adapter says of itself.
type Info struct {
	Vendor, Architecture, Device, Description string
	Backend                                   uint32 // 4: Direct3D 12, 5: Metal, 6: Vulkan
	Type                                      uint32 // 1: discrete, 2: integrated, 3: CPU, 4: unknown
	VendorID, DeviceID                        uint32
	SubgroupSize                              uint32 // at least
}

// Adapter is one way to a device.
type Adapter struct {
	in       *Instance
	h        uintptr
	asked    adapterOptions // for it
	Info     Info
	Limits   Limits
	features []uint32
}

// The backends of webgpu.h that kernels are good for, by system.
var backends = map[string][]uint32{"linux": {6}, "darwin": {5}, "windows": {4, 6}}

// Adapters returns the adapters that the library offers when asked for a fast one, a thrifty one and a
// software one on each backend: webgpu.h has no list of them. Release each.
func (in *Instance) Adapters() ([]*Adapter, error) {
	var found []*Adapter
	for _, backend := range backends[runtime.GOOS] {
		for _, o := range []adapterOptions{{power: 2}, {power: 1}, {fallback: 1}} {
			o.level, o.backend = 2, backend
			a, err := in.adapter(&o)
			if err != nil {
				for _, a := range found {
					a.Release()
				}
				return nil, err
			}
			if a == nil {
				continue
			}
			if slices.ContainsFunc(found, func(b *Adapter) bool { return a.Info == b.Info }) {
				a.Release()
				continue
			}
			found = append(found, a)
		}
	}
	return found, nil
}

// Null returns an adapter that compiles whatever WGSL has and runs nothing: for tests of kernels that no device at hand can
// run. It is nil if the library has none. Release it.
func (in *Instance) Null() (*Adapter, error) {
	const null = 1
	return in.adapter(&adapterOptions{level: 2, backend: null})
}

// adapter returns the adapter of some options, nil if there is none.
func (in *Instance) adapter(o *adapterOptions) (*Adapter, error) {
	o.next = unsafe.Pointer(newToggles(enabledToggles, disabledToggles))
	_, h, _ := in.request(instanceRequestAdapter, in.h, address(o))
	runtime.KeepAlive(o)
	if h == 0 {
		return nil, nil
	}
	a := &Adapter{in: in, h: h, asked: *o}
	if err := a.describe(); err != nil {
		a.Release()
		return nil, fmt.Errorf("%w: %s: %w", ErrLibrary, in.l.path, err)
	}
	return a, nil
}

// address returns the address of something on the heap, which the caller keeps alive.
func address[T any](p *T) uintptr {
	atomic.StorePointer(&heap, unsafe.Pointer(p))
	return uintptr(unsafe.Pointer(p))
}

// heap makes what address is given escape from the stack, where it could be moved.
var heap unsafe.Pointer

// Release gives the adapter back.
func (a *Adapter) Release() { a.in.l.call(adapterRelease, a.h) }

// describe reads what the adapter says, and holds the library to the layout of the structs.
func (a *Adapter) describe() error {
	l := a.in.l
	var info adapterInfo
	if err := filled(&info, "WGPUAdapterInfo", func(p uintptr) { l.call(adapterGetInfo, a.h, p) }); err != nil {
		return err
	}
	a.Info = Info{
		info.vendor.String(), info.architecture.String(), info.device.String(), info.description.String(),
		info.backend, info.kind, info.vendorID, info.deviceID, info.subgroupMin,
	}
	if err := filled(&a.Limits, "WGPULimits", func(p uintptr) { l.call(adapterGetLimits, a.h, p) }); err != nil {
		return err
	}
	if m := &a.Limits; m.MaxBindGroups < 4 || m.MaxWorkgroupsPerDim < 65535 || m.MinStorageAlignment&(m.MinStorageAlignment-1) != 0 || m.MaxInvocations < 128 {
		return errors.New("the limits that it tells are not in the order of webgpu.h")
	}
	f := &features{}
	l.call(adapterGetFeatures, a.h, uintptr(unsafe.Pointer(f)))
	if f.count > 0 {
		a.features = slices.Clone(unsafe.Slice((*uint32)(at(f.list)), f.count))
	}
	if !slices.ContainsFunc(featureCore, func(f uint32) bool { return slices.Contains(a.features, f) }) {
		return errors.New("it does not list the core features under a known number")
	}
	return nil
}

// filled has the library fill a struct that lies in a longer, patterned piece of memory, copies it, and
// compares how much of that was written with the struct's size.
func filled[T any](dst *T, name string, fill func(p uintptr)) error {
	const pattern = 0xa5a5a5a5a5a5a5a5
	words := make([]uint64, 64)
	for i := 1; i < len(words); i++ { // the first is a chain that ends
		words[i] = pattern
	}
	fill(address(&words[0]))
	last := len(words) - 1
	for last > 0 && words[last] == pattern {
		last--
	}
	if have, want := last+1, int(unsafe.Sizeof(*dst)/8); have != want {
		return fmt.Errorf("its %s has %d words: want %d", name, have, want)
	}
	*dst = *(*T)(unsafe.Pointer(&words[0]))
	return nil
}
