// Package quant fits rows of weights with the blocks of package block: a scale, a zero-point and
// codes for each. It rounds (rtn), searches (search), or rounds column by column for the inputs of
// the matrix (Feedback and Rounder, which gptq uses), and divides a budget of bits among matrices
// (Allocate).
//
// It knows matrices, not models: its callers decide which tensor gets which scheme, and where the
// rows go. NewEncoder and NewRounder are the ways in.
package quant
