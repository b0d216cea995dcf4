//go:build cgo && !js

package gpu

/*
#include <stdlib.h>
#include "native.h"
*/
import "C"

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cogentcore/webgpu/wgpu" // links the library
)

// prepareBuiltin readies the process for the first instance.
var prepareBuiltin = sync.OnceFunc(func() {
	wgpu.SetLogLevel(wgpu.LogLevelOff) // every error is returned
	prepare()
})

// instance is a wgpu instance and its adapters, best first.
type instance struct {
	ref      C.uintptr_t
	adapters []adapter
}

// adapter is an adapter with its description.
type adapter struct {
	ref  C.uintptr_t
	desc C.lw_adapter_info
	info AdapterInfo
}

const hasBuiltin = true

// findBuiltin makes an instance and finds its adapters.
func findBuiltin() (driver, error) {
	prepareBuiltin()
	in := &instance{ref: C.lw_instance()}
	if in.ref == 0 {
		return nil, noAdapter()
	}
	refs := make([]C.uintptr_t, C.lw_adapters(in.ref, nil, 0))
	if len(refs) > 0 {
		refs = refs[:min(len(refs), int(C.lw_adapters(in.ref, &refs[0], C.size_t(len(refs)))))]
	}
	if len(refs) == 0 {
		releaseInstance(in.ref)
		return nil, noAdapter()
	}
	for _, ref := range refs {
		a := adapter{ref: ref}
		C.lw_adapter_describe(ref, &a.desc)
		a.info = AdapterInfo{
			Name: C.GoString(&a.desc.name[0]), Driver: vendors[uint32(a.desc.vendor)],
			Backend: backendNames[uint32(a.desc.backend)], Type: typeNames[min(int(a.desc._type), len(typeNames)-1)],
			VendorID: uint32(a.desc.vendor), DeviceID: uint32(a.desc.device), Engine: EngineBuiltin,
		}
		in.adapters = append(in.adapters, a)
	}
	slices.SortStableFunc(in.adapters, func(a, b adapter) int { return cmp.Compare(a.desc._type, b.desc._type) })
	for i := range in.adapters {
		in.adapters[i].info.Index = i
	}
	return in, nil
}

func (in *instance) release() {
	in.releaseAdapters()
	releaseInstance(in.ref)
}

// keptInstance is an instance that is not given back; 0: none yet.
var keptInstance atomic.Uintptr

// releaseInstance gives an instance back. One stays: with the last one drivers would be unloaded, and some leave things behind
// each time, of which a process can have a thousand.
func releaseInstance(ref C.uintptr_t) {
	if !keptInstance.CompareAndSwap(0, uintptr(ref)) {
		C.lw_instance_release(ref)
	}
}

func (in *instance) releaseAdapters() {
	for _, a := range in.adapters {
		C.lw_adapter_release(a.ref)
	}
	in.adapters = nil
}

func (in *instance) infos() []AdapterInfo {
	infos := make([]AdapterInfo, len(in.adapters))
	for i, a := range in.adapters {
		infos[i] = a.info
	}
	return infos
}

func noAdapter() error {
	if runtime.GOOS == "linux" {
		return fmt.Errorf("%w: no Vulkan driver found (Debian, Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers)", ErrNoAdapter)
	}
	return fmt.Errorf("%w: no Vulkan, Metal or Direct3D 12 driver found", ErrNoAdapter)
}

func (in *instance) open(_ context.Context, o Options) (backend, error) {
	i, err := choose(in.infos(), o.Adapter)
	if err != nil {
		return nil, err
	}
	a := in.adapters[i]
	if a.info.Backend != "Vulkan" && a.info.Backend != "Metal" && a.info.Backend != "D3D12" {
		return nil, fmt.Errorf("adapter %s: backend %s is not supported", a.info.Name, a.info.Backend)
	}
	var message *C.char
	dev := C.lw_open(a.ref, &a.desc, &message)
	if dev == nil {
		return nil, fmt.Errorf("adapter %s: no device: %s", a.info.Name, takeString(message))
	}
	in.releaseAdapters()
	return &native{instance: in, dev: dev, adapter: a.info, desc: a.desc}, nil
}

// takeString returns a message that C allocated, and frees it.
func takeString(s *C.char) string {
	if s == nil {
		return ""
	}
	defer C.free(unsafe.Pointer(s))
	return strings.TrimSpace(C.GoString(s))
}
