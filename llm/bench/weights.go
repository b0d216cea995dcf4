package bench

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

//go:embed shapes/*.json
var shapes embed.FS

// Shapes lists the names of the shapes that OpenShape knows.
func Shapes() []string {
	var names []string
	entries, _ := shapes.ReadDir("shapes")
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// Model is what is measured: a bundle, or made-up weights.
type Model struct {
	name   string
	format string          // of made-up weights
	disk   *source.Model   // nil if made up
	made   *tune.Synthetic // nil if on disk
}

// OpenBundle opens the bundle in dir.
func OpenBundle(dir string) (*Model, error) {
	m, err := source.OpenBundle(dir)
	if err != nil {
		return nil, err
	}
	return &Model{name: filepath.Base(dir), disk: m}, nil
}

// OpenShape makes up the weights of a shape: the name of one that comes with the package, or the path of a config.json.
// Matrices are of a format, int8, int4, int2 or f16, in blocks of a size; 0: 128, int2: 256.
func OpenShape(shape, format string, block int) (*Model, error) {
	config, err := shapes.ReadFile("shapes/" + shape + ".json")
	if err != nil {
		if config, err = os.ReadFile(shape); err != nil {
			return nil, fmt.Errorf("shape %q: want %s, or the path of a config.json", shape, strings.Join(Shapes(), ", "))
		}
	}
	spec, err := hf.ParseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("shape %s: %w", shape, err)
	}
	bits, size, err := packing(format, block)
	if err != nil {
		return nil, err
	}
	made, err := tune.NewSynthetic(spec, bits, size)
	if err != nil {
		return nil, err
	}
	return &Model{name: filepath.Base(shape), format: format, made: made}, nil
}

// packing returns the bits and the block size of made-up weights.
func packing(format string, block int) (bits, size int, err error) {
	p, ok := map[string][2]int{"int8": {8, 128}, "int4": {4, 128}, "int2": {2, 256}, "f16": {16, 0}}[format]
	if !ok {
		return 0, 0, fmt.Errorf("format %q: want int8, int4, int2 or f16", format)
	}
	if block != 0 && p[1] != 0 {
		p[1] = block
	}
	return p[0], p[1], nil
}

// Name says what is measured.
func (m *Model) Name() string { return m.name }

// Weights returns what a device loads.
func (m *Model) Weights() graph.Source {
	if m.made != nil {
		return m.made
	}
	return m.disk.Packed()
}

// Close closes the files.
func (m *Model) Close() error {
	if m.disk == nil {
		return nil
	}
	return m.disk.Close()
}
