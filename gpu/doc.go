// Package gpu runs compute kernels on a WebGPU device. The way in is Open, which chooses an engine and an adapter and
// returns a Device; that allocates buffers, compiles pipelines once for each kernel, and replays recorded programs.
//
// The package knows nothing of models, and it never lets a bad argument reach the driver, where many would abort the
// process: Device checks everything, and calls the driver only through the interface backend.
//
// Natively there are two engines behind that interface: with cgo the built-in wgpu-native (Vulkan, Metal, Direct3D 12),
// and with or without cgo a Dawn library that is found when the program runs; Options.Engine chooses. Under GOOS=js it is
// the browser's or Node's WebGPU.
package gpu
