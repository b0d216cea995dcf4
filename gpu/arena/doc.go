// Package arena keeps the device memory of a model: buffers by purpose, bind groups over them, and
// small uniforms. Buffers are reserved first, so that what a model needs is known before a byte is
// allocated; Allocate then makes exactly what was reserved. An Arena without a device only counts.
//
// It knows neither models nor kernels, and it never allocates behind its owner's back. The one way
// in is New.
package arena
