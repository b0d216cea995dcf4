package hf

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"
)

// TestDecodeF16 decodes every float16 and compares with an independent implementation.
func TestDecodeF16(t *testing.T) {
	src := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	got := make([]float32, 1<<16)
	decodeF16(got, src)
	for i, v := range got {
		want := math.Float32bits(float16.Frombits(uint16(i)).Float32())
		if want&0x7fffffff > 0x7f800000 {
			want |= 0x00400000 // quiet
		}
		if math.Float32bits(v) != want || math.Float32bits(float16To32(uint16(i))) != want {
			t.Fatalf("%#04x: got %#08x, want %#08x", i, math.Float32bits(v), want)
		}
	}
}

// TestDecodeBodies compares the decoders with their definitions for every length and alignment:
// nothing but dst may change.
func TestDecodeBodies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	src := make([]byte, 1024)
	for i := range src {
		src[i] = byte(rnd.Uint32())
	}
	for dtype, plain := range map[string]decoder{"F16": float16sTo32Go, "BF16": bfloat16sTo32Go, "F32": float32sGo} {
		for n := range 100 {
			from := rnd.IntN(9)
			in := src[from : from+n*elementSize[dtype]]
			got, want := make([]float32, n+16), make([]float32, n+16)
			decoders[dtype](got[8:8+n], in)
			plain(want[8:8+n], in)
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%s, %d elements from byte %d: element %d is %#08x, want %#08x", dtype, n, from, i-8,
						math.Float32bits(got[i]), math.Float32bits(want[i]))
				}
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, dtype := range []string{"F16", "BF16", "F32"} {
		b.Run(dtype, func(b *testing.B) {
			dst := make([]float32, 1<<16)
			src := make([]byte, len(dst)*elementSize[dtype])
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				decoders[dtype](dst, src)
			}
		})
	}
}
