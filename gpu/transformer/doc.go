// Package transformer runs a model with the weights of a bundle on a GPU: it keeps sequences and their
// KV caches, and feeds tokens by replaying passes that package graph recorded.
//
// It never computes parts of the model on the CPU, never chooses a token, and never chooses kernels: Options say which
// ones to use. The way in is New, or LoadWeights for several Transformers that share weights.
package transformer
