package hf

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// configs are the configurations of the fixtures; fixtureOf has weights too.
const configs = "../../testdata/families/"

func fixtureOf(t testing.TB, name string) string {
	t.Helper()
	return fixture.Family(t, name)
}

// copyOf copies a fixture into a directory that the test may damage.
func copyOf(t testing.TB, name string) string { return copyDir(t, fixtureOf(t, name)) }

// copyDir copies a directory into one that the test may damage.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustOpen(t testing.TB, dir string) *Checkpoint {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// safefile is a safetensors file from a header, as it stands, and data.
func safefile(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

type tensorData struct {
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Ends  []int  `json:"data_offsets"`
	data  []byte
}

// unpack reads a safetensors file without the code under test.
func unpack(t testing.TB, path string) map[string]*tensorData {
	t.Helper()
	b := read(t, path)
	n := binary.LittleEndian.Uint64(b)
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &raw); err != nil {
		t.Fatal(err)
	}
	all := map[string]*tensorData{}
	for name, v := range raw {
		if name == "__metadata__" {
			continue
		}
		d := &tensorData{}
		if err := json.Unmarshal(v, d); err != nil {
			t.Fatal(err)
		}
		d.data = b[8+int(n)+d.Ends[0] : 8+int(n)+d.Ends[1]]
		all[name] = d
	}
	return all
}

// pack writes a safetensors file.
func pack(t testing.TB, path string, all map[string]*tensorData) {
	t.Helper()
	var data []byte
	for _, size := range []int{8, 4, 2, 1} { // large elements first, so that all are aligned
		for _, d := range all {
			if elementSize[d.DType] == size || size == 1 && packedBits[d.DType] > 0 {
				d.Ends = []int{len(data), len(data) + len(d.data)}
				data = append(data, d.data...)
			}
		}
	}
	header, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	write(t, path, safefile(string(header), data))
}

// edit changes a JSON object in a file.
func edit(t testing.TB, path string, change func(map[string]any)) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(read(t, path), &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, data)
}

func set(key string, value any) func(map[string]any) {
	return func(m map[string]any) { m[key] = value }
}

func configOf(dir string) string { return filepath.Join(dir, "config.json") }

func parseAny(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
