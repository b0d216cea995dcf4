//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ebitengine/purego"
)

// proc numbers the functions of webgpu.h that the package calls.
type proc int

const (
	createInstance proc = iota
	instanceRequestAdapter
	instanceWaitAny
	instanceHasWGSLLanguageFeature
	instanceRelease
	adapterGetInfo
	adapterGetLimits
	adapterGetFeatures
	adapterRequestDevice
	adapterRelease
	deviceGetQueue
	deviceCreateBuffer
	deviceCreateShaderModule
	deviceCreateBindGroupLayout
	deviceCreatePipelineLayout
	deviceCreateComputePipelineAsync
	deviceCreateBindGroup
	deviceCreateCommandEncoder
	deviceCreateQuerySet
	deviceForceLoss
	deviceInjectError
	deviceDestroy
	deviceRelease
	bufferMapAsync
	bufferGetMappedRange
	bufferGetConstMappedRange
	bufferUnmap
	bufferDestroy
	bufferRelease
	shaderModuleRelease
	bindGroupLayoutRelease
	pipelineLayoutRelease
	computePipelineRelease
	bindGroupRelease
	querySetRelease
	commandEncoderBeginComputePass
	commandEncoderCopyBufferToBuffer
	commandEncoderResolveQuerySet
	commandEncoderFinish
	commandEncoderRelease
	commandBufferRelease
	computePassEncoderSetPipeline
	computePassEncoderSetBindGroup
	computePassEncoderDispatchWorkgroups
	computePassEncoderEnd
	computePassEncoderRelease
	queueSubmit
	queueWriteBuffer
	queueOnSubmittedWorkDone
	queueRelease
	procs
)

// names are those of the functions, without the prefix wgpu.
var names = [procs]string{
	"CreateInstance", "InstanceRequestAdapter", "InstanceWaitAny", "InstanceHasWGSLLanguageFeature", "InstanceRelease",
	"AdapterGetInfo", "AdapterGetLimits", "AdapterGetFeatures",
	"AdapterRequestDevice", "AdapterRelease",
	"DeviceGetQueue", "DeviceCreateBuffer", "DeviceCreateShaderModule", "DeviceCreateBindGroupLayout", "DeviceCreatePipelineLayout",
	"DeviceCreateComputePipelineAsync", "DeviceCreateBindGroup", "DeviceCreateCommandEncoder", "DeviceCreateQuerySet",
	"DeviceForceLoss", "DeviceInjectError", "DeviceDestroy", "DeviceRelease",
	"BufferMapAsync", "BufferGetMappedRange", "BufferGetConstMappedRange", "BufferUnmap", "BufferDestroy", "BufferRelease",
	"ShaderModuleRelease", "BindGroupLayoutRelease", "PipelineLayoutRelease", "ComputePipelineRelease", "BindGroupRelease", "QuerySetRelease",
	"CommandEncoderBeginComputePass", "CommandEncoderCopyBufferToBuffer", "CommandEncoderResolveQuerySet", "CommandEncoderFinish", "CommandEncoderRelease",
	"CommandBufferRelease",
	"ComputePassEncoderSetPipeline", "ComputePassEncoderSetBindGroup", "ComputePassEncoderDispatchWorkgroups", "ComputePassEncoderEnd", "ComputePassEncoderRelease",
	"QueueSubmit", "QueueWriteBuffer", "QueueOnSubmittedWorkDone", "QueueRelease",
}

// tellProcs are only called by tests, so that a library without them is as good.
var tellProcs = []proc{deviceForceLoss, deviceInjectError}

// ErrLibrary is the error of a library that cannot be used.
var ErrLibrary = errors.New("unusable WebGPU library")

// Library is a loaded Dawn. It stays loaded until the program ends.
type Library struct {
	path         string
	fn           [procs]uintptr
	capabilities bool // the descriptor of an instance holds capabilities, as until the middle of 2025; later ones list features

	kept atomic.Uintptr // an instance that is not given back; 0: none yet
}

var loaded struct {
	sync.Mutex
	by map[string]*Library
}

// Load loads the library at path, which is absolute, or one of that name on the system's library path. Loading it
// again returns the same Library. The errors are ErrLibrary, with the reason.
func Load(path string) (*Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if l := loaded.by[path]; l != nil {
		return l, nil
	}
	handle, err := openWhole(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrLibrary, path, strings.TrimPrefix(err.Error(), path+": "))
	}
	l := &Library{path: path}
	if err := l.find(handle); err != nil {
		return nil, err
	}
	if loaded.by == nil {
		loaded.by = map[string]*Library{}
	}
	loaded.by[path] = l
	return l, nil
}

// openWhole opens a library. A file is looked at before: the system's loader would end the process at one that is cut off.
func openWhole(path string) (handle uintptr, err error) {
	if filepath.IsAbs(path) {
		if err := checkFile(path); err != nil {
			return 0, err
		}
	}
	runtime.LockOSThread() // the loader keeps the reason of a failure by thread
	defer runtime.UnlockOSThread()
	return open(path)
}

// checkFile reports why a file is no library that can be loaded.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // the loader says so itself, or knows a library of the system that is no file
	case err != nil:
		return reason(err)
	case info.IsDir():
		return errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return reason(err)
	}
	defer f.Close()
	return checkWhole(f, info.Size())
}

// reason leaves out of an error what the caller names itself.
func reason(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// find looks up every function, which must all be there but for tellProcs, and tells the versions of webgpu.h apart.
func (l *Library) find(handle uintptr) error {
	if native, _ := lookup(handle, "wgpuDevicePoll"); native != 0 {
		return fmt.Errorf("%w: %s: it is wgpu-native, not Dawn", ErrLibrary, l.path)
	}
	var missing []string
	for p, name := range names {
		if l.fn[p], _ = lookup(handle, "wgpu"+name); l.fn[p] == 0 && !slices.Contains(tellProcs, proc(p)) {
			missing = append(missing, "wgpu"+name)
		}
	}
	const most = 5 // that are named
	switch n := len(missing); {
	case n > most:
		return fmt.Errorf("%w: %s: it lacks %s and %d more of the functions of webgpu.h", ErrLibrary, l.path, strings.Join(missing[:most], ", "), n-most)
	case n > 0:
		return fmt.Errorf("%w: %s: it lacks %s", ErrLibrary, l.path, strings.Join(missing, ", "))
	}
	older, _ := lookup(handle, "wgpuGetInstanceCapabilities")
	newer, _ := lookup(handle, "wgpuHasInstanceFeature")
	if (older == 0) == (newer == 0) {
		return fmt.Errorf("%w: %s: its webgpu.h is of a version that is not known: want either wgpuGetInstanceCapabilities or wgpuHasInstanceFeature", ErrLibrary, l.path)
	}
	l.capabilities = older != 0
	return nil
}

// Path says where the library was loaded from.
func (l *Library) Path() string { return l.path }

// do calls a function with handles and numbers, no pointers. Unlike call, it allocates nothing if args are on the heap.
func (l *Library) do(p proc, args []uintptr) uintptr {
	r, _, _ := purego.SyscallN(l.fn[p], args...)
	return r
}

// call calls a function of the library. Arguments converted from pointers stay where they are until
// it returns.
//
//go:uintptrescapes
func (l *Library) call(p proc, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(l.fn[p], args...)
	return r
}
