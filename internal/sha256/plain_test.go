package sha256

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"testing"
)

// TestPlain compares with the standard library: every length around one and two blocks, written in pieces.
func TestPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h hash.Hash = newPlain()
	for n := range 3*block + 2 {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		want := sha256.Sum256(data)
		h.Reset()
		for rest := data; len(rest) > 0; {
			k := 1 + rng.IntN(len(rest))
			if m, err := h.Write(rest[:k]); m != k || err != nil {
				t.Fatalf("wrote %d of %d, %v", m, k, err)
			}
			rest = rest[k:]
			if h.Sum(nil); rng.IntN(2) == 0 { // changes nothing
				h.Sum([]byte("x"))
			}
		}
		if got := h.Sum([]byte("x")); !bytes.Equal(got[1:], want[:]) || got[0] != 'x' {
			t.Errorf("%d bytes: %x, want x and %x", n, got, want)
		}
		if Sum256(data) != want {
			t.Errorf("Sum256 of %d bytes", n)
		}
	}
	if h.Size() != Size || h.BlockSize() != sha256.BlockSize {
		t.Errorf("sizes %d, %d", h.Size(), h.BlockSize())
	}
}

// TestLong hashes more bytes than 32 bits can count in bits.
func TestLong(t *testing.T) {
	a, b := newPlain(), sha256.New()
	a.length = 1 << 33
	data := bytes.Repeat([]byte("llama"), 1000)
	a.Write(data)
	b.Write(data)
	if bytes.Equal(a.Sum(nil), b.Sum(nil)) {
		t.Error("the length is not part of the hash")
	}
}

func BenchmarkPlain(b *testing.B) {
	h, data := newPlain(), make([]byte, 1<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		h.Write(data)
	}
}
