package sha256

import "math/bits"

// block is how many bytes are hashed at once.
const block = 64

// plain computes SHA-256 as FIPS 180-4 describes it. It implements hash.Hash.
type plain struct {
	state  [8]uint32
	length uint64      // bytes written
	rest   [block]byte // what was written since the last whole block: length % block bytes
}

// begin are the fractional parts of the square roots of the first 8 primes, and added those of the cube roots of the first
// 64: 32 bits each.
var begin = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

var added = [block]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

func newPlain() *plain { return &plain{state: begin} }

func (h *plain) Reset() { *h = plain{state: begin} }

func (h *plain) Size() int { return Size }

func (h *plain) BlockSize() int { return block }

// Write adds bytes. It never fails.
func (h *plain) Write(p []byte) (int, error) {
	n, filled := len(p), int(h.length%block)
	h.length += uint64(n)
	if filled > 0 {
		took := copy(h.rest[filled:], p)
		if p = p[took:]; filled+took < block {
			return n, nil
		}
		h.blocks(h.rest[:])
	}
	whole := len(p) &^ (block - 1)
	h.blocks(p[:whole])
	copy(h.rest[:], p[whole:])
	return n, nil
}

// Sum appends the hash of what was written to b. More may be written after it.
func (h *plain) Sum(b []byte) []byte {
	sum := h.sum()
	return append(b, sum[:]...)
}

func (h *plain) sum() (sum [Size]byte) {
	end := *h // what follows is written to a copy
	pad := make([]byte, 1, 2*block)
	pad[0] = 0x80
	for (h.length+uint64(len(pad)))%block != block-8 {
		pad = append(pad, 0)
	}
	for shift := 56; shift >= 0; shift -= 8 {
		pad = append(pad, byte(h.length*8>>shift))
	}
	_, _ = end.Write(pad)
	for i, s := range end.state {
		sum[4*i], sum[4*i+1], sum[4*i+2], sum[4*i+3] = byte(s>>24), byte(s>>16), byte(s>>8), byte(s)
	}
	return sum
}

// blocks hashes whole blocks.
func (h *plain) blocks(p []byte) {
	var w [block]uint32
	a0, b0, c0, d0, e0, f0, g0, h0 := h.state[0], h.state[1], h.state[2], h.state[3], h.state[4], h.state[5], h.state[6], h.state[7]
	for ; len(p) >= block; p = p[block:] {
		for i := range 16 {
			q := (*[4]byte)(p[4*i:])
			w[i] = uint32(q[0])<<24 | uint32(q[1])<<16 | uint32(q[2])<<8 | uint32(q[3])
		}
		for i := 16; i < block; i++ {
			x, y := w[i-15], w[i-2]
			w[i] = w[i-16] + (bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3) +
				w[i-7] + (bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10)
		}
		a, b, c, d, e, f, g, h := a0, b0, c0, d0, e0, f0, g0, h0
		for i := 0; i < block; i += 4 { // four rounds, so that the variables need not change places
			k, v := (*[4]uint32)(added[i:]), (*[4]uint32)(w[i:])
			h += (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (g ^ e&(f^g)) + k[0] + v[0]
			d += h
			h += (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b | c&(a|b))
			g += (bits.RotateLeft32(d, -6) ^ bits.RotateLeft32(d, -11) ^ bits.RotateLeft32(d, -25)) + (f ^ d&(e^f)) + k[1] + v[1]
			c += g
			g += (bits.RotateLeft32(h, -2) ^ bits.RotateLeft32(h, -13) ^ bits.RotateLeft32(h, -22)) + (h&a | b&(h|a))
			f += (bits.RotateLeft32(c, -6) ^ bits.RotateLeft32(c, -11) ^ bits.RotateLeft32(c, -25)) + (e ^ c&(d^e)) + k[2] + v[2]
			b += f
			f += (bits.RotateLeft32(g, -2) ^ bits.RotateLeft32(g, -13) ^ bits.RotateLeft32(g, -22)) + (g&h | a&(g|h))
			e += (bits.RotateLeft32(b, -6) ^ bits.RotateLeft32(b, -11) ^ bits.RotateLeft32(b, -25)) + (d ^ b&(c^d)) + k[3] + v[3]
			a += e
			e += (bits.RotateLeft32(f, -2) ^ bits.RotateLeft32(f, -13) ^ bits.RotateLeft32(f, -22)) + (f&g | h&(f|g))
			a, b, c, d, e, f, g, h = e, f, g, h, a, b, c, d
		}
		a0, b0, c0, d0, e0, f0, g0, h0 = a0+a, b0+b, c0+c, d0+d, e0+e, f0+f, g0+g, h0+h
	}
	h.state = [8]uint32{a0, b0, c0, d0, e0, f0, g0, h0}
}
