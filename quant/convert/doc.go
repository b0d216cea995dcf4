// Package convert turns a checkpoint into a bundle, and a bundle back into a checkpoint. Run is the way in; Look says what
// Run would do, Export goes back. It streams: tiles of rows are read, encoded by several workers and written in order, so
// that memory does not grow with the model and the bytes do not depend on the number of workers. An interrupted
// conversion can be resumed, with the same bytes in the end.
//
// It opens neither checkpoints nor devices, and calibrates with whatever Calibration it is given: package auto provides
// these. What a block looks like is up to package block, how it is fitted to package quant, and the files to package
// bundle.
package convert
