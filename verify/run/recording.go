package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// openReferenceEngine loads the reference for the drift. Its keys and values are float32.
func (o *Options) openReferenceEngine(ctx context.Context, m *source.Model, positions int) (*engine.Engine, error) {
	if o.Reference.Device != engine.GPU {
		return engine.NewCPU(m, engine.Options{Context: positions, KVBits: 32})
	}
	dev, err := gpu.Open(ctx, gpu.Options{Select: o.Engine.GPU, Log: o.Engine.Log})
	if err != nil {
		return nil, err
	}
	var from transformer.Source
	if m.Bundle != nil {
		from = m.Packed()
	} else {
		from = m.Floats()
	}
	t, err := transformer.New(ctx, dev, from, transformer.Options{MaxSeqLen: positions, KVBits: 32})
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("%s: %w", m.Dir, err)
	}
	return &engine.Engine{Forwarder: t, Transformer: t, Device: dev}, nil
}

// recorded is a run of the checkpoint that is kept in a file.
type recorded struct {
	*verify.Recording
	file *os.File
	temp bool // the file goes with it
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

// record runs the checkpoint over the windows, or takes over what Reference.Cache has of an earlier run. Without a cache
// the logits are kept in a temporary file.
func (o *Options) record(ctx context.Context, m *source.Model, windows [][]int32) (*recorded, error) {
	path := o.Reference.Cache
	if path == "" {
		return o.runRecorded(ctx, m, windows, "")
	}
	name, err := o.identity(ctx, m)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o.runRecorded(ctx, m, windows, name)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	var r *verify.Recording
	if err == nil {
		r, err = verify.OpenRecording(file, info.Size(), name, windows, m.Weights.Spec().Vocab)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: remove it, or name another file", path, err), file.Close())
	}
	return &recorded{Recording: r, file: file}, nil
}

// runRecorded runs the checkpoint, and leaves its logits in the cache, if there is one, when all is done.
func (o *Options) runRecorded(ctx context.Context, m *source.Model, windows [][]int32, name string) (_ *recorded, err error) {
	ref, err := o.openReferenceEngine(ctx, m, len(windows[0]))
	if err != nil {
		return nil, err
	}
	defer ref.Close()
	path, dir := o.Reference.Cache, ""
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
	set, end := o.begin("checkpoint", int64(len(windows)), false)
	defer end()
	r.Recording, err = verify.RecordTo(ctx, name, ref.Forwarder, windows, file, func(done, _ int) { set(int64(done)) })
	if err != nil || path == "" {
		return r, err
	}
	if err = os.Rename(file.Name(), path); err == nil {
		r.temp = false
	}
	return r, err
}

// identity names everything that decides a checkpoint's logits: its files, what was done to them, and where it runs.
func (o *Options) identity(ctx context.Context, m *source.Model) (string, error) {
	where := "cpu"
	if o.Reference.Device == engine.GPU {
		where = "gpu " + o.Engine.GPU.Adapter
		if e := o.Engine.GPU.Engine; e != "" {
			where += " by " + e
		}
	}
	if m.Bundle != nil {
		return fmt.Sprintf("bundle %s on %s", m.Bundle.Manifest.ID, where), nil
	}
	sum, err := m.Hash(ctx)
	return fmt.Sprintf("checkpoint %s on %s", sum, where), err
}
