// Package calibrate runs calibration text through a model that is being quantized, layer by layer on the GPU, and
// adds up sums over the inputs of each matrix, from which quant.Feedback and quant.Rounder round it.
//
// It observes the graph that inference runs through a graph.Tap, and has no implementation of the model of its own. It
// never quantizes, and never holds more than one layer of a model on the device. Without a GPU, quant/calibrate does the
// same on the CPU. The way in is New.
package calibrate
