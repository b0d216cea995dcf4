package hf

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// pad appends n spaces to the header of a safetensors file, which moves all tensors.
func pad(t *testing.T, path string, n int) {
	t.Helper()
	file := read(t, path)
	end := 8 + int(binary.LittleEndian.Uint64(file))
	header := append(slices.Clone(file[8:end]), "       "[:n]...)
	write(t, path, safefile(string(header), file[end:]))
}

// Wherever the tensors of a file begin, they have the same values. Writers that do not pad the header
// (MLX, early safetensors) leave them at odd bytes.
func TestUnaligned(t *testing.T) {
	for _, from := range []string{
		fixtureOf(t, "mistral"), fixtureOf(t, "gpt2"), fixtureOf(t, "llama4"), quantized + "ct_int8", quantized + "ct_int4", quantized + "fp8_block", quantized + "gptq_act",
	} {
		plain := mustOpen(t, from)
		for _, n := range []int{1, 2, 3, 4, 5, 7} {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			pad(t, filepath.Join(dir, singleFile), n)
			moved := mustOpen(t, dir)
			for i, tensor := range plain.Tensors() {
				if !slices.Equal(valuesOf(t, moved, tensor.Name), valuesOf(t, plain, tensor.Name)) {
					t.Fatalf("%s, %d bytes further: %s differs", from, n, tensor.Name)
				}
				a, raw := plain.Raw(i)
				if b, too := moved.Raw(i); raw != too || !slices.Equal(a, b) {
					t.Fatalf("%s, %d bytes further: raw bytes of %s differ", from, n, tensor.Name)
				}
			}
		}
	}
}
