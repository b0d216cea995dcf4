package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// referenceFlags say how the checkpoint is run.
var referenceFlags = []cli.Flag{
	&cli.StringFlag{Name: "reference-device", Value: "cpu", Usage: "`DEVICE`: where to run the checkpoint for the drift: cpu, which shares no code with the GPU, or gpu, which is faster", Category: "Device"},
	&cli.StringFlag{Name: "reference-cache", Usage: "`FILE`: keep the checkpoint's logits there, and reuse them if they are of this checkpoint and text", Category: "What to compare"},
}

// checkReference reports wrong values of referenceFlags.
func checkReference(c *cli.Context) error { return oneOf(c, "reference-device", "cpu", "gpu") }

// openReference loads a checkpoint, or what else is the reference, where --reference-device says.
func openReference(c *cli.Context, s *source.Model, maxSeqLen int) (*engine, error) {
	if c.String("reference-device") == "cpu" {
		return newCPU(s, maxSeqLen, false)
	}
	dev, err := openGPU(c)
	if err != nil {
		return nil, err
	}
	var from transformer.Source
	if s.Bundle != nil {
		from = s.Packed()
	} else {
		from = s.Floats()
	}
	t, err := transformer.New(c.Context, dev, from, transformer.Options{MaxSeqLen: maxSeqLen, KVBits: 32})
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	return &engine{Forwarder: t, gpu: t, dev: dev}, nil
}

// recorded is a run of the checkpoint that is kept in a file.
type recorded struct {
	*verify.Recording
	file *os.File
	temp bool
}

func (r *recorded) close() error {
	if r == nil {
		return nil
	}
	err := r.file.Close()
	if r.temp {
		err = errors.Join(err, os.Remove(r.file.Name()))
	}
	return err
}

// record runs the checkpoint over the windows, or takes over what --reference-cache has of an earlier
// run. Without that flag the logits are kept in a temporary file.
func record(c *cli.Context, s *source.Model, windows [][]int32) (*recorded, error) {
	path := c.String("reference-cache")
	if path == "" {
		return runRecorded(c, s, windows, "", "")
	}
	name, err := identity(c.Context, c, s)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return runRecorded(c, s, windows, path, name)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	var r *verify.Recording
	if err == nil {
		r, err = verify.OpenRecording(file, info.Size(), name, windows, s.Weights.Spec().Vocab)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: remove it, or name another file", path, err), file.Close())
	}
	return &recorded{Recording: r, file: file}, nil
}

// runRecorded runs the checkpoint and leaves its logits at path, if there is one, when all is done.
func runRecorded(c *cli.Context, s *source.Model, windows [][]int32, path, name string) (_ *recorded, err error) {
	ref, err := openReference(c, s, len(windows[0]))
	if err != nil {
		return nil, err
	}
	defer ref.close()
	dir := ""
	if path != "" {
		dir = filepath.Dir(path)
	}
	file, err := os.CreateTemp(dir, "llama-webgpu-logits-")
	if err != nil {
		return nil, err
	}
	r := &recorded{file: file, temp: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	progress := newBar(c, "checkpoint", int64(len(windows)), false)
	defer progress.end()
	if r.Recording, err = verify.RecordTo(c.Context, name, ref.Forwarder, windows, file, func(done, _ int) { progress.set(int64(done), "") }); err != nil || path == "" {
		return r, err
	}
	if err = os.Rename(file.Name(), path); err == nil {
		r.temp = false
	}
	return r, err
}

// identity names everything that decides a checkpoint's logits: its files, what was done to them,
// and where it runs.
func identity(ctx context.Context, c *cli.Context, s *source.Model) (string, error) {
	where := c.String("reference-device")
	if where == "gpu" {
		where += " " + c.String("adapter")
	}
	if s.Bundle != nil {
		return fmt.Sprintf("bundle %s on %s", s.Bundle.Manifest.ID, where), nil
	}
	sum, err := s.Hash(ctx)
	return fmt.Sprintf("checkpoint %s on %s", sum, where), err
}
