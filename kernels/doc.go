// Package kernels holds the compute kernels (*.wgsl) and specializes them. The way in is Specialize: it puts a kernel
// together with the shared pieces that it names (shared/*.wgsl), rewrites its constants, names the result, and reports
// what it binds, how much workgroup memory it takes, and what it needs of a device. Kernel.Unrolled is the form for GPUs.
//
// The package knows no more WGSL than that takes, and nothing of models. It never touches a GPU and never compiles a
// kernel: package gpu does that. docs/kernels.md explains what the kernels have in common and how to add one.
package kernels
