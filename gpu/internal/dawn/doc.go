// Package dawn calls a Dawn library, the WebGPU implementation of Chrome, through the C interface
// webgpu.h. The library is loaded while the program runs, so that neither a C compiler nor a header
// is needed to build it.
//
// webgpu.h has changed over the years. Load refuses a library that lacks a function, and the first
// calls check that the library fills the structs it is handed as this package declares them: a
// library with another layout is refused with the reason, never called by guess.
//
// The package checks nothing else: it passes on what package gpu has checked. Load is the way in.
package dawn
