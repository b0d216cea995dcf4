// Package graph turns a model.Spec and its weights into passes: lists of dispatches that compute the
// embedding, a layer, or the head for a number of tokens. It lays out the weights for the device and
// uploads them, chooses each kernel's constants, and plans the activations.
//
// Recording runs nothing and compiles nothing: a Pass is a list, which Kit.Program turns into a program of the
// device. From one pass to the next a Graph keeps only the KV caches, and does not know how far they are filled:
// its caller keeps sequences and positions. It never chooses a token.
//
// The way in is Plan for the weights and New for the graph of a model. NewKit is for recording single
// products without a model around them.
package graph
