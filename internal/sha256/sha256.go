// Package sha256 is crypto/sha256, except in a program for the browser: there crypto/sha256 would bring ciphers, a random
// generator and self-tests along, and this package computes the hash itself. New and Sum256 are the ways in.
package sha256

// Size is the length of a hash, in bytes.
const Size = 32
