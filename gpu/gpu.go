package gpu

import (
	"errors"
	"fmt"
	"time"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Errors that callers branch on.
var (
	ErrNoGPU       = errors.New("this build has no GPU")
	ErrNoAdapter   = errors.New("no GPU adapter")
	ErrOutOfMemory = errors.New("out of GPU memory")
	ErrDeviceLost  = errors.New("GPU device lost")
	ErrReleased    = errors.New("already released")
	ErrClosed      = errors.New("GPU device closed")
)

// Select chooses an engine and one of its adapters. The zero value chooses the best.
type Select struct {
	// Adapter is an index of Adapters, or a part of an adapter's String; "" chooses the best.
	Adapter string
	// Engine is EngineBuiltin or EngineDawn. "" chooses Dawn where a library is named, or is found and has an adapter;
	// otherwise the built-in one.
	Engine string
	// Library is the path of a Dawn library, which chooses that engine. With "" it is looked for: what
	// LibraryVariable names, beside the program, in LibraryDir, on the system's library path.
	Library string
}

// Options choose and shape a device.
type Options struct {
	Select
	// PipelineCache is the directory where compiled kernels are kept for the next start, of any program: "" is
	// pipelines in llama-webgpu in the user's cache directory, PipelineCacheOff keeps none. Only a Dawn library keeps
	// them there; the built-in engine leaves caching to the driver, and a browser has its own cache.
	PipelineCache string
	MaxBinding    uint64 // bytes; lowers Limits.MaxBinding, for tests of what happens on small devices
	Log           Logger // nil logs nothing
}

// PipelineCacheOff, as Options.PipelineCache, keeps no compiled kernels.
const PipelineCacheOff = "off"

// Logger receives messages; a *slog.Logger is one. The package does not import log/slog, which would make
// programs for the browser much larger.
type Logger interface {
	Debug(msg string, args ...any)
	Error(msg string, args ...any)
}

type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Error(string, ...any) {}

// AdapterInfo describes an adapter.
type AdapterInfo struct {
	Index    int    // in Adapters
	Name     string // "NVIDIA H200", "llvmpipe (LLVM 15.0.6, 256 bits)"
	Driver   string // who made the driver: "Mesa", "NVIDIA"; "" if not known (the library does not tell the version)
	Backend  string // "Vulkan", "Metal", "D3D12", "WebGPU"
	Type     string // "discrete", "integrated", "cpu" or "unknown"
	VendorID uint32
	DeviceID uint32
	Engine   string // EngineBuiltin or EngineDawn; "" in a browser
	Library  string // the path of the Dawn library, "" for other engines
}

// String names the adapter in one line.
func (a AdapterInfo) String() string {
	s := fmt.Sprintf("%s (%s, %s", a.Name, a.Backend, a.Type)
	if a.Driver != "" {
		s += ", " + a.Driver
	}
	return s + ")"
}

// Where names the adapter and the engine that drives it, if there is a choice.
func (a AdapterInfo) Where() string {
	if a.Engine == "" {
		return a.String()
	}
	return a.String() + ", engine " + a.Engine
}

// Limits are what one device can do; sizes are in bytes.
type Limits struct {
	MaxBufferSize          uint64
	MaxBinding             uint64    // of a storage binding
	MaxUniformBinding      uint64    // of a uniform binding
	MaxWorkgroupBytes      int       // of var<workgroup> in one kernel
	MaxInvocations         int       // per workgroup
	MaxWorkgroupSize       [3]uint32 // invocations along x, y, z
	MaxWorkgroupsPerDim    uint32    // of one dispatch
	StorageBuffersPerStage int       // storage bindings of one kernel
	UniformBuffersPerStage int       // uniform bindings of one kernel
}

// Features are optional abilities of a device.
type Features struct {
	TimestampQuery bool // RunTimed works
	ShaderF16      bool // `enable f16;` compiles
	Subgroups      bool // `enable subgroups;` compiles
	SubgroupSize   int  // threads that a subgroup has at least; 0: not known
	DotProduct4x8  bool // dot4I8Packed compiles
	SubgroupMatrix bool // `enable chromium_experimental_subgroup_matrix;` compiles, and with f16 matrices of 16 × 16 that add up in float32
	Int8Matrix     bool // those of int8, 16 × 32, and 32 × 16 or 32 × 8, compile as well, as far as that is known
}

// has reports whether kernels may enable or require what WGSL calls name.
func (f Features) has(name string) bool {
	switch name {
	case "f16":
		return f.ShaderF16
	case "subgroups":
		return f.Subgroups
	case "packed_4x8_integer_dot_product":
		return f.DotProduct4x8
	case "chromium_experimental_subgroup_matrix":
		return f.SubgroupMatrix
	}
	return false
}

// Runs reports whether the device has what the kernel needs.
func (f Features) Runs(k kernels.Kernel) bool {
	for _, name := range k.Needs {
		if !f.has(name) {
			return false
		}
	}
	return true
}

// Usage says how kernels bind a buffer. Every buffer can also be copied, written and read.
type Usage uint8

// The ways to bind a buffer.
const (
	Storage Usage = 1 << iota // as var<storage, …>
	Uniform                   // as var<uniform>

	staging // is mapped to be read
	queries // receives resolved queries
)

// Align: the offset of a bound Range must be a multiple of it, in bytes.
const Align = 256

// Stats count what a device has done since it was opened.
type Stats struct {
	Pipelines    int           // compiled
	CompileTime  time.Duration // in which at least one of these was being compiled
	CacheHits    int           // parts of pipelines that were found in Options.PipelineCache
	CacheMisses  int           // parts that were looked for there, and had to be compiled
	Dispatches   uint64
	Copies       uint64
	Submits      uint64
	BytesWritten uint64 // by Buffer.Write and Stage.Send
	BytesRead    uint64 // by Device.Read
}
