package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
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
func openReference(c *cli.Context, s *source, maxSeqLen int) (*engine, error) {
	if c.String("reference-device") == "cpu" {
		return newCPU(s, maxSeqLen, false)
	}
	dev, err := openGPU(c)
	if err != nil {
		return nil, err
	}
	var from transformer.Source = floats{s.weights, s}
	if s.bundle != nil {
		from = s.packed()
	}
	t, err := transformer.New(c.Context, dev, from, transformer.Options{MaxSeqLen: maxSeqLen, KVBits: 32})
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("%s: %w", s.dir, err)
	}
	return &engine{Forwarder: t, gpu: t, dev: dev}, nil
}

// floats hands the weights of a checkpoint to the GPU as they are: as float16 where the checkpoint has
// them so, else as float32.
type floats struct {
	model.Weights
	source *source
}

func (f floats) Packing(i int) (bits, block int) {
	if f.source.rotated == nil && f.source.hf.SourceType(i) == "F16" && len(f.source.merged) == 0 && f.Tensors()[i].Quantizable() {
		return 16, 0
	}
	return 32, 0
}

// ReadAt implements transformer.Source, for whole rows.
func (f floats) ReadAt(i int, p []byte, off int64) error {
	bits, _ := f.Packing(i)
	row := int64(bits / 8 * f.Tensors()[i].Cols())
	if off%row != 0 || int64(len(p))%row != 0 {
		return fmt.Errorf("tensor %q: %d bytes from byte %d on: want whole rows of %d", f.Tensors()[i].Name, len(p), off, row)
	}
	values := make([]float32, len(p)*8/bits)
	if err := f.Rows(i, int(off/row), len(p)/int(row), values); err != nil {
		return err
	}
	if bits == 16 {
		block.Float16s(p, values)
		return nil
	}
	for k, v := range values {
		binary.LittleEndian.PutUint32(p[4*k:], math.Float32bits(v))
	}
	return nil
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
func record(c *cli.Context, s *source, windows [][]int32) (*recorded, error) {
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
		r, err = verify.OpenRecording(file, info.Size(), name, windows, s.weights.Spec().Vocab)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: remove it, or name another file", path, err), file.Close())
	}
	return &recorded{Recording: r, file: file}, nil
}

// runRecorded runs the checkpoint and leaves its logits at path, if there is one, when all is done.
func runRecorded(c *cli.Context, s *source, windows [][]int32, path, name string) (_ *recorded, err error) {
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
func identity(ctx context.Context, c *cli.Context, s *source) (string, error) {
	where := c.String("reference-device")
	if where == "gpu" {
		where += " " + c.String("adapter")
	}
	if s.bundle != nil {
		return fmt.Sprintf("bundle %s on %s", s.bundle.Manifest.ID, where), nil
	}
	sum, err := checkpointHash(ctx, s)
	return fmt.Sprintf("checkpoint %s on %s", sum, where), err
}

// checkpointHash returns the SHA-256, in hex, of a checkpoint's configuration, adapters and files.
func checkpointHash(ctx context.Context, s *source) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%q\n", s.hf.Config(), s.merged)
	for _, f := range s.hf.Files() {
		if err := hashFile(ctx, sum, f.Path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(ctx context.Context, sum io.Writer, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(sum, f)
	fmt.Fprintf(sum, "\n%d\n", n)
	return cmp.Or(err, ctx.Err())
}
