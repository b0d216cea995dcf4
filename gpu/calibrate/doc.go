// Package calibrate runs calibration text through a model that is being quantized, layer by layer on the GPU, and
// adds up what each matrix is given: the sums that quant.Feedback and quant.Rounder round it for.
//
// It taps the graph that inference runs, and has no kernels of the model of its own. It never quantizes, and never
// holds more than one layer on the device. Where there is no GPU, quant/calibrate does the same on the CPU. The one
// way in is New.
package calibrate
