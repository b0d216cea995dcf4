// Package graph turns a model.Spec and its weights into passes: lists of dispatches that compute the
// embedding, a layer, or the head for a number of tokens. It lays the weights out for the device and
// brings them there, chooses each kernel's constants, and plans the activations.
//
// Recording runs nothing and compiles nothing: a Pass is a list, which Kit.Program turns into a program
// of the device. A Graph knows no sequences and keeps no state from one pass to the next but what its
// caller gives it as caches; it never chooses a token.
//
// The one way in is Plan for the weights and New for the graph of a model; NewKit records single
// products without a model around them.
package graph
