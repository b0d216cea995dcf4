package gpu

import "errors"

// The native engines.
const (
	EngineBuiltin = "builtin" // wgpu-native, linked into a build with cgo
	EngineDawn    = "dawn"    // a Dawn library, loaded while the program runs
)

// LibraryVariable is the environment variable that names a Dawn library.
const LibraryVariable = "LLAMA_WEBGPU_DAWN"

var errNoLibrary = errors.New("no Dawn library found")
