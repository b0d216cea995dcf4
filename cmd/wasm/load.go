//go:build js

package main

import (
	"context"
	"fmt"
	"io"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

// model is a bundle whose weights are on the device.
type model struct {
	app     *app
	bundle  *bundle.Bundle
	kernels *tune.Variants
	weights *transformer.Weights
	tok     *tokenizer.Tokenizer // nil: the bundle has none
	writes  *tools.Format        // how it writes calls and thoughts; nil: nobody has asked yet

	sessions map[*session]bool // the open ones
	closed   bool
	object   *object
}

// load ({manifest, vocab, files, progress, kernels, tuning, onStart}) uploads a bundle. manifest and vocab are Uint8Arrays, the
// latter may be null; files are functions (offset, length) → Promise of a Uint8Array of 1 to length
// bytes; progress is called with (bytes done); kernels is what tune.NewVariants takes; tuning is
// what the method tune has found earlier, or null; onStart is called with a function that cancels the load.
func (a *app) load(ctx context.Context, args []js.Value) (any, error) {
	in := args[0]
	ctx, end := cancelable(ctx, in)
	defer end()
	m := &model{app: a, sessions: map[*session]bool{}, object: newObject()}
	if err := m.read(in); err != nil {
		return nil, err
	}
	progress := in.Get("progress")
	var err error
	if m.kernels, err = a.kernelsFor(in.Get("kernels").String()); err != nil {
		return nil, err
	}
	choice := graph.Choice{Tuning: kept(in.Get("tuning"))}
	if choice.Variants, err = m.kernels.Choose(ctx, m.bundle); err == nil {
		choice.Subgroup = m.kernels.Shuffles(choice.Variants)
		err = m.kernels.ChooseMatrices(ctx, m.bundle, &choice)
	}
	if err != nil {
		return nil, err
	}
	m.weights, err = transformer.LoadWeights(ctx, a.dev, m.bundle, transformer.Options{
		Kernels:  choice,
		Progress: func(done uint64) { progress.Invoke(float64(done)) },
	})
	if err != nil {
		return nil, err
	}
	if err := m.bundle.AllChecked(); err != nil {
		m.weights.Close()
		return nil, err
	}
	m.methods()
	m.object.v.Set("tuned", len(choice.Tuning))
	a.models[m] = true
	return m.object.v, nil
}

// read opens manifest, blobs and tokenizer.
func (m *model) read(in js.Value) error {
	manifest, err := bundle.ParseManifest(toGo(in.Get("manifest")))
	if err != nil {
		return fmt.Errorf("%s: %w", bundle.ManifestName, err)
	}
	var blobs []bundle.Blob
	for i, f := range manifest.Files {
		blobs = append(blobs, bundle.Blob{ReaderAt: blob{in.Get("files").Index(i), f.Size}, Size: f.Size})
	}
	if m.bundle, err = bundle.Streamed(manifest, blobs...); err != nil {
		return err
	}
	if manifest.Tokenizer.Size == 0 {
		return nil
	}
	vocab := toGo(in.Get("vocab"))
	if err := manifest.CheckVocab(vocab); err != nil {
		return err
	}
	if m.tok, err = tokenizer.Parse(vocab); err != nil {
		return fmt.Errorf("%s: %w", bundle.VocabName, err)
	}
	return nil
}

// blob is a file that JavaScript reads.
type blob struct {
	read js.Value
	size int64 // bytes
}

// ReadAt fills p, waiting for promises: this blocks the goroutine, not the page.
func (b blob) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		if off+int64(n) >= b.size {
			return n, io.ErrUnexpectedEOF
		}
		v, err := await(b.read.Invoke(float64(off)+float64(n), len(p)-n))
		if err != nil {
			return n, err
		}
		got := js.CopyBytesToGo(p[n:], v)
		if got == 0 {
			return n, io.ErrUnexpectedEOF
		}
		n += got
	}
	return len(p), nil
}

// await waits for a promise.
func await(p js.Value) (js.Value, error) {
	done := make(chan struct{})
	var v js.Value
	var err error
	resolve := js.FuncOf(func(_ js.Value, args []js.Value) any {
		v = args[0]
		close(done)
		return nil
	})
	defer resolve.Release()
	reject := js.FuncOf(func(_ js.Value, args []js.Value) any {
		err = &thrown{args[0]}
		close(done)
		return nil
	})
	defer reject.Release()
	p.Call("then", resolve, reject)
	<-done
	return v, err
}

// toGo copies a Uint8Array; null is nothing.
func toGo(v js.Value) []byte {
	if !v.Truthy() {
		return nil
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}
