// Package cpu is the CPU engine: it runs a model with the vector instructions of the processor, on all of its cores,
// and reads the weights of a bundle where they lie, in the mapped file. It follows the same Spec as verify.Reference,
// which defines what is right, and shares no code with it: tests compare the two on every family. What it computes
// differs from the reference by rounding alone, that of inputs to integers included.
//
// New is the way in. Forward runs sequences of tokens; Layer and Enter run single layers, for calibration. It chooses
// no token, judges nothing, and never converts weights: single tokens are multiplied by packed rows as they lie, longer
// prompts by panels of decoded rows.
package cpu
