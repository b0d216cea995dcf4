// Package run judges bundles: it opens a bundle and the checkpoint that it was made from, cuts text into windows, runs
// both models, and puts what package verify measures into a report. Verify judges one bundle, OpenComparison compares
// several. It prints nothing, and writes nothing but the recorded logits of Reference.Cache; Record notes a result in
// a bundle.
package run
