//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/internal/dawn"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// dawnAdapters is an instance of a Dawn library and its adapters, best first.
type dawnAdapters struct {
	instance *dawn.Instance
	adapters []*dawn.Adapter
	found    []AdapterInfo
}

// findDawn loads the library of o, or the first that is found, and asks it for adapters.
func findDawn(o Select) (driver, error) {
	prepare()
	l, err := loadDawn(o.Library)
	if err != nil {
		return nil, err
	}
	in, err := l.NewInstance()
	if err != nil {
		return nil, err
	}
	found, err := in.Adapters()
	if err != nil {
		in.Release()
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b *dawn.Adapter) int { return cmp.Compare(a.Info.Type, b.Info.Type) })
	all := &dawnAdapters{instance: in, adapters: found}
	for i, a := range found {
		all.found = append(all.found, dawnInfo(i, a.Info, l.Path()))
	}
	if len(found) == 0 {
		all.release()
		return nil, fmt.Errorf("%w that the library %s can use", ErrNoAdapter, l.Path())
	}
	return all, nil
}

func dawnInfo(index int, i dawn.Info, path string) AdapterInfo {
	name := i.Device
	if name == "" {
		name = i.Description
	}
	return AdapterInfo{
		Index: index, Name: name, Driver: vendors[i.VendorID], Backend: backendNames[i.Backend],
		Type: typeNames[min(max(int(i.Type), 1), len(typeNames))-1], VendorID: i.VendorID, DeviceID: i.DeviceID,
		Engine: EngineDawn, Library: path,
	}
}

func (d *dawnAdapters) release() {
	d.releaseAdapters()
	d.instance.Release()
}

func (d *dawnAdapters) releaseAdapters() {
	for _, a := range d.adapters {
		a.Release()
	}
	d.adapters = nil
}

func (d *dawnAdapters) infos() []AdapterInfo { return d.found }

func (d *dawnAdapters) open(ctx context.Context, o Options) (backend, error) {
	i, err := choose(d.found, o.Adapter)
	if err != nil {
		return nil, err
	}
	a := d.adapters[i]
	dev, err := a.Open(keepPipelines(o, d.found[i].Library))
	if err != nil {
		return nil, fmt.Errorf("adapter %s: no device: %w", d.found[i].Name, err)
	}
	o.Log.Debug("Dawn device opened", "pipelines kept", dev.Cached())
	n := &dawnBackend{instance: d.instance, dev: dev, adapter: d.found[i], max: dawnLimits(a.Limits)}
	n.patience.sleeps = n.adapter.Type == "cpu"
	d.releaseAdapters()
	n.can = n.prove()
	n.can.SubgroupSize = int(a.Info.SubgroupSize)
	return n, nil
}

func dawnLimits(l dawn.Limits) Limits {
	return Limits{
		MaxBufferSize:          l.MaxBufferSize,
		MaxBinding:             l.MaxStorageBinding &^ 3,
		MaxUniformBinding:      l.MaxUniformBinding &^ 3,
		MaxWorkgroupBytes:      int(l.MaxWorkgroupBytes),
		MaxInvocations:         int(l.MaxInvocations),
		MaxWorkgroupSize:       l.MaxWorkgroupSize,
		MaxWorkgroupsPerDim:    min(l.MaxWorkgroupsPerDim, 65535),
		StorageBuffersPerStage: int(l.MaxStorageBuffers),
		UniformBuffersPerStage: int(l.MaxUniformBuffers),
	}
}

// prove reports the features that can be used: the numbers under which a library lists them are not enough.
func (n *dawnBackend) prove() Features {
	compile := func(source string) bool {
		k := kernels.Kernel{Key: "feature", Entry: "main", Source: source}
		p, l, err := n.newPipeline(k)
		if err == nil {
			n.freePipeline(p, l)
		}
		return err == nil
	}
	compiles := func(head, body string) bool {
		return compile(head + "@compute @workgroup_size(1) fn main() { " + body + " }")
	}
	matrices := compile(kernels.MatrixTrial)
	return Features{
		TimestampQuery: n.hasQueries(),
		ShaderF16:      compiles("enable f16;\n", "let x = f16(1);"),
		Subgroups:      compiles("enable subgroups;\n", "let x = subgroupAdd(1u);"),
		DotProduct4x8:  n.instance.DotProduct4x8() && compiles("requires packed_4x8_integer_dot_product;\n", "let x = dot4I8Packed(1u, 1u);"),
		SubgroupMatrix: matrices,
		Int8Matrix:     matrices && compile(kernels.Int8Trial),
	}
}

func (n *dawnBackend) hasQueries() bool {
	qs, err := n.made(n.dev.NewQueries(2), n.dev.FreeQueries)
	if err == nil {
		n.dev.FreeQueries(uintptr(qs))
	}
	return err == nil
}

// loadDawn loads the library at path or, with none given, the one that LibraryVariable names or the first that is found.
func loadDawn(path string) (*dawn.Library, error) {
	if path = cmp.Or(path, os.Getenv(LibraryVariable)); path != "" {
		return loadNamed(path)
	}
	for _, p := range libraryPlaces() {
		if _, err := os.Stat(p); err != nil {
			continue
		}
		return dawn.Load(p) // one that is there and cannot be used is an error
	}
	for _, name := range libraryNames[runtime.GOOS][:1] {
		if l, err := dawn.Load(name); err == nil {
			return l, nil
		}
	}
	return nil, errNoLibrary
}

// loadNamed loads a library by its path, or one of that name on the system's library path.
func loadNamed(path string) (*dawn.Library, error) {
	_, err := os.Lstat(path)
	if err == nil || filepath.Base(path) != path {
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
	}
	return dawn.Load(path)
}

// libraryNames are what builds of Dawn call their library.
var libraryNames = map[string][]string{
	"linux":   {"libwebgpu_dawn.so", "libwebgpu_wrapper.so"},
	"darwin":  {"libwebgpu_dawn.dylib", "libwebgpu_wrapper.dylib"},
	"windows": {"webgpu_dawn.dll", "webgpu_wrapper.dll"},
}

// libraryPlaces lists where a library may lie: beside the program, then in the user's data directory.
func libraryPlaces() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dirs = append(dirs, filepath.Dir(exe))
	}
	if dir := LibraryDir(); dir != "" {
		dirs = append(dirs, dir)
	}
	var places []string
	for _, dir := range dirs {
		for _, name := range libraryNames[runtime.GOOS] {
			places = append(places, filepath.Join(dir, name))
		}
	}
	return places
}

// littleEndian reads words of 8 bytes.
func littleEndian(b []byte) []uint64 {
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}
