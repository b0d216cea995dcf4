// Package engine loads a model onto the device that is to run it: a GPU, or the CPU engine. Open is the way in, Tuning
// what is known to be fast on a GPU. It chooses no token and judges nothing: package llm generates text with what it
// opens, verify/run compares it.
package engine
