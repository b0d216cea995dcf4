package gguf

import (
	"encoding/binary"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

func load(t testing.TB, path string) (*File, []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f, data
}

// TestDecode compares values with those that the gguf package for Python computes, bit by bit but for the
// sign of zeros; and whole numbers and scales with these values.
func TestDecode(t *testing.T) {
	f, _ := load(t, "testdata/blocks.gguf")
	want := map[string][]float32{}
	for _, s := range f.Tensors {
		if name, ok := strings.CutSuffix(s.Name, ".values"); ok {
			want[name] = values(s)
		}
	}
	done := map[string]bool{"F32": true, "F16": true, "BF16": true}
	for _, s := range f.Tensors {
		if want[s.Name] == nil {
			continue
		}
		t.Run(s.Name, func(t *testing.T) { checkDecode(t, s, want[s.Name]) })
		done[s.Type.Name] = true
	}
	for _, name := range Supported() {
		if !done[name] {
			t.Errorf("testdata/blocks.gguf has no %s", name)
		}
	}
}

func values(s Tensor) []float32 {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	dst := make([]float32, n)
	s.Type.Decode(dst, s.Data)
	return dst
}

func checkDecode(t *testing.T, s Tensor, want []float32) {
	for i, v := range values(s) {
		if v != want[i] {
			t.Fatalf("element %d: %g, want %g", i, v, want[i])
		}
	}
	ints := s.Type.Integers()
	if ints == nil {
		return
	}
	codes := make([]int16, s.Type.Elements)
	for b := 0; b*s.Type.Bytes < len(s.Data); b++ {
		scale, zero, ok := ints.Block(codes, s.Data[b*s.Type.Bytes:][:s.Type.Bytes])
		if again, z, ok2 := ints.Block(nil, s.Data[b*s.Type.Bytes:][:s.Type.Bytes]); again != scale || z != zero || ok != ok2 {
			t.Fatalf("block %d: without codes %g, %d, %t, with them %g, %d, %t", b, again, z, ok2, scale, zero, ok)
		}
		if !ok {
			if !strings.HasSuffix(s.Type.Name, "_1") {
				t.Fatalf("block %d: no whole numbers", b)
			}
			continue
		}
		for i, q := range codes {
			if int(q) < ints.Low || int(q) > ints.High {
				t.Fatalf("block %d: code %d is not within %d and %d", b, q, ints.Low, ints.High)
			}
			if v, w := float32(q-zero)*scale, want[b*len(codes)+i]; v != w || scale < 0 {
				t.Fatalf("block %d, element %d: (%d−%d)·%g is %g, want %g", b, i, q, zero, scale, v, w)
			}
		}
	}
}

// TestShifted: blocks with a least value are whole numbers where it is a multiple of the scale.
func TestShifted(t *testing.T) {
	for _, test := range []struct {
		d, m uint16
		ok   bool
	}{
		{0x2000, 0x3000, true},  // 2⁻⁷ and 2⁻³
		{0x2000, 0xb000, true},  // 2⁻⁷ and −2⁻³
		{0xa000, 0x3000, true},  // −2⁻⁷ and 2⁻³
		{0x2000, 0x3001, false}, // no multiple
		{0x0000, 0x3001, true},  // all alike
		{0x0000, 0xb001, true},
		{0x0000, 0x0000, true},
		{0x7e00, 0x3000, false}, // NaN
	} {
		src := make([]byte, 20)
		binary.LittleEndian.PutUint16(src, test.d)
		binary.LittleEndian.PutUint16(src[2:], test.m)
		for i := range 16 {
			src[4+i] = byte(17 * i)
		}
		kind := types[3]
		want := make([]float32, 32)
		kind.Decode(want, src)
		codes := make([]int16, 32)
		scale, zero, ok := kind.Integers().Block(codes, src)
		if ok != test.ok {
			t.Errorf("%04x %04x: whole numbers: %t, want %t", test.d, test.m, ok, test.ok)
		}
		for i := 0; ok && i < 32; i++ {
			if v := float32(codes[i]-zero) * scale; v != want[i] || codes[i] < 0 || codes[i] > 15 || scale < 0 {
				t.Errorf("%04x %04x: element %d: (%d−%d)·%g, want %g", test.d, test.m, i, codes[i], zero, scale, want[i])
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, id := range []uint32{2, 3, 8, 12, 13, 14, 20} {
		kind := types[id]
		b.Run(kind.Name, func(b *testing.B) {
			const n = 1 << 16
			src, dst := make([]byte, n/kind.Elements*kind.Bytes), make([]float32, n)
			b.SetBytes(4 * n)
			for b.Loop() {
				kind.Decode(dst, src)
			}
		})
	}
}

// head writes the beginning of a file.
type head struct{ data []byte }

func (h *head) u32(v ...uint32) *head {
	for _, x := range v {
		h.data = binary.LittleEndian.AppendUint32(h.data, x)
	}
	return h
}

func (h *head) u64(v ...uint64) *head {
	for _, x := range v {
		h.data = binary.LittleEndian.AppendUint64(h.data, x)
	}
	return h
}

func (h *head) str(s string) *head {
	h.u64(uint64(len(s)))
	h.data = append(h.data, s...)
	return h
}

func begin(version uint32, tensors, values uint64) *head {
	return (&head{[]byte("GGUF")}).u32(version).u64(tensors, values)
}

func TestValues(t *testing.T) {
	h := begin(2, 0, 14)
	h.str("u8").u32(0)
	h.data = append(h.data, 200)
	h.str("i8").u32(1)
	h.data = append(h.data, 200)
	h.str("i16").u32(3)
	h.data = append(h.data, 0xff, 0xff)
	h.str("i32").u32(5, 0xfffffffe)
	h.str("u64").u32(10).u64(7)
	h.str("huge").u32(10).u64(math.MaxUint64)
	h.str("f32").u32(6, math.Float32bits(0.5))
	h.str("f64").u32(12).u64(math.Float64bits(0.25))
	h.str("yes").u32(7)
	h.data = append(h.data, 1)
	h.str("text").u32(8).str("héllo")
	h.str("list").u32(9, 8).u64(2).str("a").str("")
	h.str("none").u32(9, 6).u64(0)
	h.str("bools").u32(9, 7).u64(3)
	h.data = append(h.data, 1, 0, 1)
	h.str("lists").u32(9, 9).u64(1).u32(7).u64(1)
	h.data = append(h.data, 1)
	f, err := Parse(h.data)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"u8": 200, "i8": -56, "i16": -1, "i32": -2, "u64": 7} {
		if n, ok, err := f.Int(key); n != want || !ok || err != nil {
			t.Errorf("%s: %d %t %v, want %d", key, n, ok, err, want)
		}
	}
	for key, want := range map[string]float64{"u8": 200, "f32": 0.5, "f64": 0.25} {
		if x, ok, err := f.Float(key); x != want || !ok || err != nil {
			t.Errorf("%s: %g %t %v, want %g", key, x, ok, err, want)
		}
	}
	if _, _, err := f.Int("huge"); err == nil {
		t.Error("huge: no error")
	}
	if yes, ok, err := f.Bool("yes"); !yes || !ok || err != nil {
		t.Error("yes:", yes, ok, err)
	}
	if s, ok, err := f.String("text"); s != "héllo" || !ok || err != nil {
		t.Error("text:", s, ok, err)
	}
	if list, ok, err := f.Strings("list"); len(list) != 2 || list[0] != "a" || !ok || err != nil {
		t.Error("list:", list, ok, err)
	}
	if list, ok, err := f.Strings("none"); len(list) != 0 || !ok || err != nil {
		t.Error("none:", list, ok, err)
	}
	if list, ok, err := f.Bools("bools"); !slices.Equal(list, []bool{true, false, true}) || !ok || err != nil {
		t.Error("bools:", list, ok, err)
	}
	for _, key := range []string{"list", "lists"} {
		if _, _, err := f.Bools(key); err == nil || !strings.Contains(err.Error(), "want an array of bools") {
			t.Errorf("%s as bools: %v", key, err)
		}
	}
	if list, ok, err := f.Bools("none"); len(list) != 0 || !ok || err != nil {
		t.Error("none as bools:", list, ok, err)
	}
	if _, ok, err := f.Int("absent"); ok || err != nil {
		t.Error("absent:", ok, err)
	}
	if _, _, err := f.Strings("text"); err == nil || !strings.Contains(err.Error(), `metadata "text": want an array of strings`) {
		t.Error("text as strings:", err)
	}
}

func TestRefused(t *testing.T) {
	tensor := func(name string, id uint32, offset uint64, dims ...uint64) *head {
		h := (&head{}).str(name).u32(uint32(len(dims)))
		return h.u64(dims...).u32(id).u64(offset)
	}
	file := func(bytes int, tensors ...*head) []byte {
		h := begin(3, uint64(len(tensors)), 0)
		for _, x := range tensors {
			h.data = append(h.data, x.data...)
		}
		for len(h.data)%32 != 0 {
			h.data = append(h.data, 0)
		}
		return append(h.data, make([]byte, bytes)...)
	}
	good := file(128, tensor("a", 0, 0, 8, 2), tensor("b", 2, 64, 32), tensor("c", 0, 64, 0))
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	for want, data := range map[string][]byte{
		"it begins with":                              []byte("PK\x03\x04 and more"),
		"of the format before GGUF":                   []byte("tjgg\x03\x00\x00\x00"),
		"version 1 is not supported":                  begin(1, 0, 0).data,
		"big-endian":                                  begin(3<<24, 0, 0).data,
		"the file ends in its head":                   begin(3, 0, 1<<40).data,
		`tensor "a": its dimensions are too large`:    file(0, tensor("a", 0, 0, 1<<40, 1<<40)),
		`tensor "a": 5 dimensions are too many`:       file(0, tensor("a", 0, 0, 1, 1, 1, 1, 1)),
		`tensor "a": type 999 is unknown`:             file(0, tensor("a", 999, 0, 1)),
		`tensor "a": offset 8 is not a multiple`:      file(64, tensor("a", 0, 8, 1)),
		`tensor "a": it is there twice`:               file(64, tensor("a", 0, 0, 1), tensor("a", 0, 32, 1)),
		`tensor "b": it overlaps "a"`:                 file(128, tensor("a", 0, 0, 16), tensor("b", 0, 32, 1)),
		`tensor "a": rows of 16 do not consist`:       file(64, tensor("a", 2, 0, 16, 2)),
		`needs bytes 64–128, the file ends at 96`:     file(32, tensor("a", 0, 0, 16)),
		`metadata "k": it is there twice`:             begin(3, 0, 2).str("k").u32(4, 1).str("k").u32(4, 1).data,
		`metadata "k": type 77 of a value is unknown`: begin(3, 0, 1).str("k").u32(77).data,
		`metadata "general.alignment": want a power`:  begin(3, 0, 1).str("general.alignment").u32(4, 48).data,
		`metadata "k": a bool is 2`:                   append(begin(3, 0, 1).str("k").u32(7).data, 2),
		`metadata "k": the file ends in its head`:     begin(3, 0, 1).str("k").u32(9, 4).u64(1 << 60).data,
		`metadata "k": arrays lie too deep`: begin(3, 0, 1).str("k").u32(9, 9).u64(1).u32(9).u64(1).u32(9).u64(1).
			u32(9).u64(1).u32(9).u64(1).u32(4).u64(0, 0, 0, 0, 0).data,
	} {
		if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzParse: nothing panics, and what is parsed is consistent.
func FuzzParse(f *testing.F) {
	_, data := load(f, "testdata/blocks.gguf")
	f.Add(data)
	f.Add(begin(3, 0, 1).str("general.alignment").u32(4, 64).data)
	f.Add(begin(2, 0, 1).str("list").u32(9, 8).u64(2).str("a").str("b").data)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		for _, key := range file.Keys {
			if !file.Has(key) {
				t.Fatalf("key %q has no value", key)
			}
		}
		for _, s := range file.Tensors {
			n := 1
			for _, d := range s.Shape {
				n *= d
			}
			if n%s.Type.Elements != 0 || n/s.Type.Elements*s.Type.Bytes != len(s.Data) {
				t.Fatalf("tensor %q: shape %v of %s in %d bytes", s.Name, s.Shape, s.Type.Name, len(s.Data))
			}
			if s.Type.Readable() && n <= 1<<16 {
				s.Type.Decode(make([]float32, n), s.Data)
			}
		}
	})
}
