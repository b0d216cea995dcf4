package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

// This file reads a bundle with nothing but docs/format.md in hand: no package of ours decodes
// anything here.

// stored is what an independent reader needs of a tensor in manifest.json.
type stored struct {
	Name           string
	Shape          []int
	Type           string
	Block          int
	File           int
	Offset, Length int
	SHA256         string
}

// half decodes a float16.
func half(lo, hi byte) float32 {
	sign, exponent, fraction := 1.0, int(hi>>2&31), float64(int(hi&3)<<8|int(lo))
	if hi&0x80 != 0 {
		sign = -1
	}
	if exponent == 0 {
		return float32(math.Copysign(math.Ldexp(fraction, -24), sign))
	}
	return float32(sign * math.Ldexp(1024+fraction, exponent-25))
}

// values decodes a tensor's bytes.
func (s *stored) values(t *testing.T, data []byte) []float32 {
	count := 1
	for _, d := range s.Shape {
		count *= d
	}
	cols := s.Shape[len(s.Shape)-1]
	out := make([]float32, 0, count)
	switch s.Type {
	case "f16":
		for i := range count {
			out = append(out, half(data[2*i], data[2*i+1]))
		}
		return out
	case "f32":
		for i := range count {
			d := data[4*i:]
			out = append(out, math.Float32frombits(uint32(d[0])+uint32(d[1])<<8+uint32(d[2])<<16+uint32(d[3])<<24))
		}
		return out
	}
	bits := map[string]int{"int8": 8, "int4": 4, "int2": 2}[s.Type]
	if bits == 0 {
		t.Fatalf("type %q", s.Type)
	}
	for range count / cols {
		for left := cols; left > 0; left -= s.Block {
			scale, zero := half(data[0], data[1]), int(int8(data[2]))
			for i := range min(left, s.Block) {
				var q int
				switch bits {
				case 8:
					q = int(int8(data[3+i]))
				case 4:
					q = int(data[3+i/2]>>(i%2*4)) & 15
				case 2:
					q = int(data[3+i/4]>>(i%4*2)) & 3
				}
				out = append(out, float32(q-zero)*scale)
			}
			data = data[3+s.Block*bits/8:]
		}
	}
	if len(data) != 0 {
		t.Errorf("%s: %d bytes left", s.Name, len(data))
	}
	return out
}

func TestIndependentReader(t *testing.T) {
	for name, o := range formats {
		t.Run(name, func(t *testing.T) {
			f := files(t, o)
			ours := open(t, store(t, f))
			var manifest struct {
				ID    string
				Files []struct {
					Name string
					Size int
				}
				Tensors []stored
			}
			if err := json.Unmarshal(f["manifest.json"], &manifest); err != nil {
				t.Fatal(err)
			}
			for i, file := range manifest.Files {
				if len(f[file.Name]) != file.Size {
					t.Errorf("%s: %d bytes, want %d", file.Name, len(f[file.Name]), file.Size)
				}
				checkHead(t, f, f[file.Name], manifest.ID, i)
			}
			file, at := 0, 256
			for i, s := range manifest.Tensors {
				blob := f[manifest.Files[s.File].Name]
				if s.File != file {
					if s.File != file+1 || at != manifest.Files[file].Size {
						t.Fatalf("%s: in file %d after byte %d of file %d", s.Name, s.File, at, file)
					}
					file, at = s.File, 256
				}
				if s.Offset != at {
					t.Fatalf("%s: at %d, want %d", s.Name, s.Offset, at)
				}
				data := blob[s.Offset : s.Offset+s.Length]
				if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != s.SHA256 {
					t.Errorf("%s: SHA-256 differs", s.Name)
				}
				for at += s.Length; at%256 != 0; at++ {
					if blob[at] != 0 {
						t.Errorf("%s: padding at %d is not zero", s.Name, at)
					}
				}
				want := s.values(t, data)
				got := make([]float32, len(want))
				if err := ours.Rows(i, 0, ours.Tensors()[i].Rows(), got); err != nil {
					t.Fatal(err)
				}
				for k := range want {
					if math.Float32bits(got[k]) != math.Float32bits(want[k]) {
						t.Fatalf("%s: element %d: %v, independently %v", s.Name, k, got[k], want[k])
					}
				}
			}
			if n := manifest.Files[file].Size; at != n || file != len(manifest.Files)-1 {
				t.Errorf("the last tensor ends at %d in file %d", at, file)
			}
			if (len(manifest.Files) > 1) != (name == "many") {
				t.Errorf("there are %d files", len(manifest.Files))
			}
		})
	}
}

// checkHead reads the header and computes the id from the manifest's text.
func checkHead(t *testing.T, f map[string][]byte, blob []byte, id string, number int) {
	t.Helper()
	want := "LLWGPU\r\n" + "\x01\x00\x00\x00" + "\x00\x01\x00\x00"
	raw, err := hex.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	want += string(raw)
	for n, k := len(blob), 0; k < 8; k, n = k+1, n/256 {
		want += string([]byte{byte(n)})
	}
	want += string([]byte{byte(number)}) + strings.Repeat("\x00", 215)
	if string(blob[:256]) != want {
		t.Errorf("header is % x, want % x", blob[:256], want)
	}
	var all, part map[string]any
	if err := json.Unmarshal(f["manifest.json"], &all); err != nil {
		t.Fatal(err)
	}
	part = map[string]any{}
	for _, key := range []string{"format_version", "generator", "quantization", "source", "spec"} {
		part[key] = all[key]
	}
	// For these values encoding/json writes what RFC 8785 asks for: sorted keys, no space, numbers
	// as JavaScript prints them.
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(part); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	if got := fmt.Sprintf("%x", sum[:16]); got != id {
		t.Errorf("id is %s, independently %s", id, got)
	}
}
