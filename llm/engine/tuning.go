package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TuningOff is the Options.Tuning that uses no file.
const TuningOff = "off"

// DefaultTuningPath returns where `llama-webgpu tune` keeps what it finds: tuning.json in the user's cache directory.
func DefaultTuningPath() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "llama-webgpu", "tuning.json"), nil
}

// Tuning is a tuning.json: one entry for each adapter, kernel text and class.
type Tuning struct {
	Version int           `json:"version"`
	Entries []TuningEntry `json:"entries"`
}

// TuningEntry says which constants make a kernel fast on an adapter.
type TuningEntry struct {
	Adapter string      `json:"adapter"` // with its driver, and its engine unless that is the built-in one
	Kernel  string      `json:"kernel"`
	Text    string      `json:"kernel_version"` // kernels.Version of it: what was tuned is good for this text alone
	Class   string      `json:"class"`
	Use     graph.Tuned `json:"constants"`
	Before  float64     `json:"seconds_before"`
	After   float64     `json:"seconds_after"`
}

const tuningVersion = 1

// adapterID names an adapter, its driver and what drives it: what is fast in one engine need not be in another. No engine
// tells the driver's version.
func adapterID(a gpu.AdapterInfo) string {
	id := fmt.Sprintf("%s, %s, %s %04x:%04x", a.Name, a.Driver, a.Backend, a.VendorID, a.DeviceID)
	if a.Engine == gpu.EngineDawn {
		id += ", " + a.Engine
	}
	return id
}

// NewTuning returns an empty one.
func NewTuning() *Tuning { return &Tuning{Version: tuningVersion} }

// ReadTuning reads a file; one that is not there is empty.
func ReadTuning(path string) (*Tuning, error) {
	f := NewTuning()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err = d.Decode(f)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("there is something behind its end")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it, or use --tuning off", path, err)
	}
	if f.Version != tuningVersion {
		return nil, fmt.Errorf("%s: version %d: this program knows version %d; remove it, or use --tuning off", path, f.Version, tuningVersion)
	}
	return f, nil
}

// For returns the entries that are good for the kernels of this program on a device.
func (f *Tuning) For(dev *gpu.Device) (graph.Tuning, error) {
	id, found := adapterID(dev.Info()), graph.Tuning{}
	for _, e := range f.Entries {
		if e.Adapter == id && e.Text == kernels.Version(e.Kernel) {
			found[graph.TuningKey{Kernel: e.Kernel, Class: e.Class}] = e.Use
		}
	}
	return found, found.Check()
}

// TuningFor returns what a file says of a device; path is as in Options. Without a cache directory there is nothing.
func TuningFor(dev *gpu.Device, path string) (graph.Tuning, error) {
	switch path {
	case TuningOff:
		return nil, nil
	case "":
		var err error
		if path, err = DefaultTuningPath(); err != nil {
			return nil, nil
		}
	}
	f, err := ReadTuning(path)
	if err != nil {
		return nil, err
	}
	found, err := f.For(dev)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it, or use --tuning off", path, err)
	}
	return found, nil
}

// Put replaces the entries of the same adapter, kernel and class.
func (f *Tuning) Put(dev *gpu.Device, results []tune.Result) {
	id := adapterID(dev.Info())
	for _, r := range results {
		f.Entries = slices.DeleteFunc(f.Entries, func(e TuningEntry) bool {
			return e.Adapter == id && e.Kernel == r.Kernel && e.Class == r.Class
		})
		f.Entries = append(f.Entries, TuningEntry{id, r.Kernel, kernels.Version(r.Kernel), r.Class, r.Best, r.Before.Seconds(), r.After.Seconds()})
	}
}

// Write replaces a file as a whole.
func (f *Tuning) Write(path string) error {
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return outdir.ReplaceFile(path, append(data, '\n'))
}
