//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import (
	"strings"
	"unsafe"
)

//lint:file-ignore U1000 The structs have the fields that they have in C, used or not.

// The structs of webgpu.h, as 64-bit C lays them out; Go lays them out alike. Pointers into Go memory
// are Go pointers, so that the garbage collector sees them; handles and pointers into the library's
// memory are words.

// stringView is a text of a length, in bytes.
type stringView struct {
	data   *byte
	length uint64
}

func view(s string) stringView { return stringView{unsafe.StringData(s), uint64(len(s))} }

// chained begins each struct that is chained to another.
type chained struct {
	next  unsafe.Pointer
	sType uint32
}

// The types of chained structs.
const (
	sTypeWGSL    = 2
	sTypeToggles = 0x5000a
)

// toggles switch parts of Dawn on and off; they are chained to what describes an instance, an adapter
// or a device.
type toggles struct {
	chained
	enabledCount  uint64
	enabled       **byte
	disabledCount uint64
	disabled      **byte
}

// instanceOld describes an instance until the middle of 2025.
type instanceOld struct {
	next unsafe.Pointer
	caps struct {
		next      unsafe.Pointer
		timedWait uint32
		waitCount uint64
	}
}

// instanceNew describes an instance since.
type instanceNew struct {
	next         unsafe.Pointer
	featureCount uint64
	features     *uint32
	limits       *instanceLimits
}

type instanceLimits struct {
	next      unsafe.Pointer
	waitCount uint64
}

const featureTimedWait = 1

type adapterOptions struct {
	next     unsafe.Pointer
	level    uint32 // 2: core
	power    uint32 // 1: low power, 2: high performance
	fallback uint32
	backend  uint32
	surface  uintptr
}

// foreign is a text in the library's memory.
type foreign struct {
	data   uintptr
	length uint64
}

func (f foreign) String() string { return text(f.data, f.length) }

// text copies a text out of the library's memory.
func text(data uintptr, length uint64) string {
	if data == 0 {
		return ""
	}
	p := (*byte)(at(data))
	if length == ^uint64(0) { // it ends with a zero
		length = 0
		for *(*byte)(unsafe.Add(unsafe.Pointer(p), length)) != 0 {
			length++
		}
	}
	return strings.Clone(unsafe.String(p, length))
}

// at turns an address of the library's memory into a pointer.
func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// adapterInfo: 12 words.
type adapterInfo struct {
	next                                      uintptr
	vendor, architecture, device, description foreign
	backend, kind, vendorID, deviceID         uint32
	subgroupMin, subgroupMax                  uint32
}

// Limits is WGPULimits: 19 words.
type Limits struct {
	next                                                                 uintptr
	MaxTextureDimension1D, MaxTextureDimension2D, MaxTextureDimension3D  uint32
	MaxTextureArrayLayers, MaxBindGroups, MaxBindGroupsPlusVertexBuffers uint32
	MaxBindingsPerBindGroup                                              uint32
	MaxDynamicUniformBuffers, MaxDynamicStorageBuffers                   uint32
	MaxSampledTextures, MaxSamplers                                      uint32
	MaxStorageBuffers, MaxStorageTextures, MaxUniformBuffers             uint32 // per stage
	MaxUniformBinding, MaxStorageBinding                                 uint64 // bytes
	MinUniformAlignment, MinStorageAlignment                             uint32 // bytes
	MaxVertexBuffers                                                     uint32
	MaxBufferSize                                                        uint64 // bytes
	MaxVertexAttributes, MaxVertexBufferArrayStride                      uint32
	MaxInterStageShaderVariables                                         uint32
	MaxColorAttachments, MaxColorAttachmentBytesPerSample                uint32
	MaxWorkgroupBytes, MaxInvocations                                    uint32
	MaxWorkgroupSize                                                     [3]uint32
	MaxWorkgroupsPerDim                                                  uint32
	MaxImmediateSize                                                     uint32
}

type features struct {
	count uint64
	list  uintptr // []uint32
}

// callbackInfo says whom to call when something is done.
type callbackInfo struct {
	next     uintptr
	mode     uint32
	callback uintptr
	token    uintptr // returned to the callback
	_        uintptr
}

// Callbacks come while somebody waits for their future, or at any time.
const (
	modeWaitAny     = 1
	modeSpontaneous = 3
)

type deviceDescriptor struct {
	next         unsafe.Pointer
	label        stringView
	featureCount uint64
	features     *uint32
	limits       *Limits
	queueNext    uintptr
	queueLabel   stringView
	lost         callbackInfo
	uncaptured   struct{ next, callback, token, _ uintptr }
}

type bufferDescriptor struct {
	next   uintptr
	label  stringView
	usage  uint64
	size   uint64
	mapped uint32
}

type wgslSource struct {
	chained
	code stringView
}

type moduleDescriptor struct {
	next  unsafe.Pointer
	label stringView
}

// layoutEntry describes one binding; all that is not a buffer is left out.
type layoutEntry struct {
	next       uintptr
	binding    uint32
	visibility uint64
	arraySize  uint32
	buffer     struct {
		next    uintptr
		kind    uint32
		dynamic uint32
		minSize uint64
	}
	sampler struct {
		next uintptr
		kind uint32
	}
	texture struct {
		next                          uintptr
		kind, dimension, multisampled uint32
	}
	storageTexture struct {
		next                      uintptr
		access, format, dimension uint32
	}
}

type layoutDescriptor struct {
	next    uintptr
	label   stringView
	count   uint64
	entries *layoutEntry
}

type pipelineLayoutDescriptor struct {
	next          uintptr
	label         stringView
	count         uint64
	layouts       *uintptr
	immediateSize uint32
}

type pipelineDescriptor struct {
	next          uintptr
	label         stringView
	layout        uintptr
	computeNext   uintptr
	module        uintptr
	entry         stringView
	constantCount uint64
	constants     uintptr
}

type groupEntry struct {
	next    uintptr
	binding uint32
	buffer  uintptr
	offset  uint64
	size    uint64
	sampler uintptr
	view    uintptr
}

type groupDescriptor struct {
	next    uintptr
	label   stringView
	layout  uintptr
	count   uint64
	entries *groupEntry
}

type timestampWrites struct {
	next       uintptr
	queries    uintptr
	begin, end uint32
}

type passDescriptor struct {
	next   uintptr
	label  stringView
	writes *timestampWrites
}

type queriesDescriptor struct {
	next        uintptr
	label       stringView
	kind, count uint32
}

type waitInfo struct {
	future uint64
	done   uint32
}

// Their sizes in C, in bytes: a struct declared wrongly does not compile.
var (
	_ [40]byte  = [unsafe.Sizeof(callbackInfo{})]byte{}
	_ [96]byte  = [unsafe.Sizeof(adapterInfo{})]byte{}
	_ [152]byte = [unsafe.Sizeof(Limits{})]byte{}
	_ [144]byte = [unsafe.Sizeof(deviceDescriptor{})]byte{}
	_ [48]byte  = [unsafe.Sizeof(bufferDescriptor{})]byte{}
	_ [120]byte = [unsafe.Sizeof(layoutEntry{})]byte{}
	_ [56]byte  = [unsafe.Sizeof(groupEntry{})]byte{}
	_ [80]byte  = [unsafe.Sizeof(pipelineDescriptor{})]byte{}
	_ [48]byte  = [unsafe.Sizeof(toggles{})]byte{}
)
