// Package quant fits rows of weights with the blocks of package block: a scale, a zero-point and
// codes for each. It rounds (rtn), searches (search), or rounds column by column against what the
// matrix is given (Feedback and Rounder, which gptq uses), and spends a budget of bits (Allocate).
//
// It knows matrices, not models: which tensor gets which scheme, and where the rows go, is not its
// affair. NewEncoder and NewRounder are the ways in.
package quant
