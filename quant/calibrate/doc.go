// Package calibrate runs calibration text through a model that is being quantized, layer by layer, on the CPU
// engine, and gathers sums over the inputs of each matrix for quant.Feedback. It never quantizes. New is the way in. Where
// there is a GPU, package gpu/calibrate does the same on it.
package calibrate
