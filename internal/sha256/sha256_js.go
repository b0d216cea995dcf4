package sha256

import "hash"

// New returns the hash of nothing, to be written to.
func New() hash.Hash { return newPlain() }

// Sum256 returns the hash of data.
func Sum256(data []byte) (sum [Size]byte) {
	h := newPlain()
	h.Write(data)
	return h.sum()
}
