package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

func tuningFlag(category string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "tuning", Usage: "`FILE`: what llama-webgpu tune has found; off: use none", DefaultText: "tuning.json in the user's cache directory",
		EnvVars: []string{tuningVariable}, Category: category,
	}
}

// tuningVariable is the environment variable that stands for --tuning.
const tuningVariable = "LLAMA_WEBGPU_TUNING"

// tuningOff is the value of --tuning that uses none.
const tuningOff = "off"

// tuningPath returns the file that holds what tune has found, "" if there is to be none.
func tuningPath(c *cli.Context) (string, error) {
	switch path := c.String("tuning"); path {
	case tuningOff:
		return "", nil
	case "":
		dir, err := os.UserCacheDir()
		return filepath.Join(dir, "llama-webgpu", "tuning.json"), err
	default:
		return path, nil
	}
}

// tuningFile is tuning.json: one entry for each adapter, kernel text and class.
type tuningFile struct {
	Version int           `json:"version"`
	Entries []tuningEntry `json:"entries"`
}

type tuningEntry struct {
	Adapter string            `json:"adapter"` // with its driver
	Kernel  string            `json:"kernel"`
	Text    string            `json:"kernel_version"` // kernels.Version of it: what was tuned is good for this text alone
	Class   string            `json:"class"`
	Use     transformer.Tuned `json:"constants"`
	Before  float64           `json:"seconds_before"`
	After   float64           `json:"seconds_after"`
}

const tuningVersion = 1

// adapterID names an adapter and its driver. The library does not tell the driver's version.
func adapterID(a gpu.AdapterInfo) string {
	return fmt.Sprintf("%s, %s, %s %04x:%04x", a.Name, a.Driver, a.Backend, a.VendorID, a.DeviceID)
}

// readTuning reads a file; one that is not there is empty.
func readTuning(path string) (*tuningFile, error) {
	f := &tuningFile{Version: tuningVersion}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it, or use --tuning off", path, err)
	}
	if f.Version != tuningVersion {
		return nil, fmt.Errorf("%s: version %d: this program knows version %d; remove it, or use --tuning off", path, f.Version, tuningVersion)
	}
	return f, nil
}

// forDevice returns the entries that are good for the kernels of this program on a device.
func (f *tuningFile) forDevice(dev *gpu.Device) (transformer.Tuning, error) {
	id, found := adapterID(dev.Info()), transformer.Tuning{}
	for _, e := range f.Entries {
		if e.Adapter == id && e.Text == kernels.Version(e.Kernel) {
			found[transformer.TuningKey{Kernel: e.Kernel, Class: e.Class}] = e.Use
		}
	}
	return found, found.Check()
}

// tuningOf returns what tune has found for a device. Without a cache directory there is nothing.
func tuningOf(c *cli.Context, dev *gpu.Device) (transformer.Tuning, error) {
	path, err := tuningPath(c)
	if err != nil || path == "" {
		return nil, nil
	}
	if err := checkTuning(c); err != nil {
		return nil, err
	}
	f, err := readTuning(path)
	if err != nil {
		return nil, err
	}
	found, err := f.forDevice(dev)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it, or use --tuning off", path, err)
	}
	return found, nil
}

// checkTuning reports a file of --tuning that is not there.
func checkTuning(c *cli.Context) error {
	path := c.String("tuning")
	if c.IsSet("tuning") && path != "" && path != tuningOff && path != os.Getenv(tuningVariable) && !source.Exists(filepath.Dir(path), filepath.Base(path)) {
		return fmt.Errorf("--tuning %s: there is no such file: llama-webgpu tune writes it", quoted(path))
	}
	return nil
}

// put replaces the entries of the same adapter, kernel and class.
func (f *tuningFile) put(dev *gpu.Device, results []transformer.TuneResult) {
	id := adapterID(dev.Info())
	for _, r := range results {
		f.Entries = slices.DeleteFunc(f.Entries, func(e tuningEntry) bool {
			return e.Adapter == id && e.Kernel == r.Kernel && e.Class == r.Class
		})
		f.Entries = append(f.Entries, tuningEntry{id, r.Kernel, kernels.Version(r.Kernel), r.Class, r.Best, r.Before.Seconds(), r.After.Seconds()})
	}
}

// write replaces the file as a whole.
func (f *tuningFile) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return outdir.ReplaceFile(path, append(data, '\n'))
}
