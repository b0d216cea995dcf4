// Package auto converts a checkpoint on disk to a bundle and decides what the caller leaves open: it checks the
// tokenizer, merges adapters, chooses the method, runs calibration text on a GPU or on the CPU, and measures what each
// matrix may cost. Convert is the way in; Look says what Convert would do. The bytes are made by package convert.
// It prints nothing and reads no files but the checkpoint's, its adapters' and the one of Calibration.Sensitivity.
package auto
