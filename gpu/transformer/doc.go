// Package transformer runs a model with the weights of a bundle on a GPU: it keeps sequences and their
// KV caches, and feeds tokens by replaying passes that package graph recorded.
//
// It never computes on the CPU what belongs to the model, never chooses a token, and chooses no kernels: what
// suits a device is in Options when a Transformer is made. The one way in is New, or LoadWeights for several
// Transformers that share weights.
package transformer
