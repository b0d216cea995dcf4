// Package graph turns a model.Spec and its weights into passes: lists of dispatches that compute the
// embedding, a layer, or the head for a number of tokens. It lays the weights out for the device and
// brings them there, chooses each kernel's constants, and plans the activations.
//
// Recording runs nothing and compiles nothing: a Pass is a list, which Kit.Program turns into a program
// of the device. From one pass to the next a Graph keeps nothing but the KV caches, and it does not know how far
// they are filled: sequences and positions are its caller's. It never chooses a token.
//
// The way in is Plan for the weights and New for the graph of a model. NewKit is for recording single
// products without a model around them.
package graph
