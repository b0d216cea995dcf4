// Package tune finds out what is fast on a device: which constants of a kernel, which kernel in place of another, and
// how far both are from what the device can do at most. It measures models as a whole and dispatch by dispatch, and
// makes up weights to measure shapes without a checkpoint of them.
//
// It only measures and suggests: what is used is the caller's choice, a graph.Choice in transformer.Options. Every
// candidate computes something of which the result is known, and is timed only if it is right. The ways in are Tune for
// constants, NewVariants for kernels, MeasureRoof, Profile, and NewSynthetic for weights.
package tune
