//go:build !js

package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// Device is where a model runs.
type Device = engine.Device

// The devices.
const (
	GPU  = engine.GPU  // an adapter: a bundle, but no checkpoint
	CPU  = engine.CPU  // the CPU engine: a bundle or a checkpoint
	Auto = engine.Auto // the GPU, but the CPU engine for a checkpoint and where the only adapter is software
)

// Options say where and how a model is loaded. The zero value loads a bundle onto the best GPU, with a KV cache for one
// session, and compares it with its hashes.
type Options struct {
	Device    Device     // "": GPU
	GPU       gpu.Select // which GPU, and which engine drives it; zero: the best
	Context   int        // how many tokens prompt and text may have together; 0: what it was trained for, at most 4096
	Sequences int        // room for sessions and for texts of a Batch, 1 to 64 on a GPU, 1 on the CPU; 0: 1
	KVBits    int        // of a cached value: 16 or 32; 0: 16
	NoCheck   bool       // do not compare a bundle with its hashes

	// Tuning is the file of `llama-webgpu tune`: a path, "" for the one in the user's cache directory, "off" for none.
	Tuning string
	// Kernels are what runs single tokens on a GPU: "" or "auto" for what is right and fastest there, "baseline" for
	// what every GPU runs, or the name of a variant of matvec (docs/kernels.md).
	Kernels string
	// Warm are the passes whose kernels are compiled while the weights load, in tokens: the length of the first prompt,
	// 1 for generating, n for n texts at once. nil: 256 and 1.
	Warm []int

	Progress func(done, total int64) // told how many bytes of the weights are loaded, by one goroutine at a time
	Log      gpu.Logger              // told what happens on the GPU: a *slog.Logger; nil: nobody
}

// Open opens a bundle, or with Options.Device CPU or Auto a checkpoint, and loads it onto a device. Close the Model
// after use.
//
// Errors name the file, and the tensor or key, and say what to do. Those to branch on: gpu.ErrNoGPU and
// gpu.ErrNoAdapter where there is no GPU, transformer.ErrTooLarge and gpu.ErrOutOfMemory if the model does not fit,
// bundle.ErrCorrupt if it is damaged, bundle.ErrVersion if it is of a later version, and that of ctx.
func Open(ctx context.Context, dir string, o Options) (*Model, error) {
	f, err := OpenFiles(dir)
	if err != nil {
		return nil, err
	}
	m, err := f.Load(ctx, o)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	load := m.close
	m.close = func() error { return errors.Join(load(), f.Close()) }
	return m, nil
}

// Files is a model on disk that is not loaded yet: prompts can be tokenized and templates tried before any time is spent
// on loading.
type Files struct {
	*source.Model
	vocabulary Vocabulary
}

// OpenFiles opens a bundle or a checkpoint.
func OpenFiles(dir string) (*Files, error) {
	m, err := source.Open(dir)
	if err != nil {
		return nil, err
	}
	f, err := FilesOf(m)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return f, nil
}

// FilesOf is OpenFiles for a model that is already open. A missing tokenizer is no error, one that cannot be read is.
func FilesOf(m *source.Model) (*Files, error) {
	f := &Files{Model: m, vocabulary: Vocabulary{BOS: m.BOS, EOS: m.EOS}}
	if !m.HasTokenizer() {
		return f, nil
	}
	var err error
	if f.vocabulary.Tokenizer, err = m.Tokenizer(); err != nil {
		return nil, err
	}
	if text := m.ChatTemplate(); text != "" {
		if f.vocabulary.Template, err = f.Template(text, nil); err != nil {
			f.vocabulary.Template = badTemplate{err}
		}
	}
	return f, nil
}

// Vocabulary returns how the model reads and writes.
func (f *Files) Vocabulary() *Vocabulary { return &f.vocabulary }

// Template parses a Jinja template; "" is the model's own. vars are its variables beside the messages, such as
// enable_thinking; chat.New says which values they may have. The error names the line, or is ErrNoTemplate.
func (f *Files) Template(text string, vars map[string]any) (Template, error) {
	own := text == ""
	if own {
		text = f.ChatTemplate()
	}
	switch {
	case text == "":
		return nil, fmt.Errorf("%s: %w", f.Dir, ErrNoTemplate)
	case f.vocabulary.Tokenizer == nil:
		return nil, fmt.Errorf("%s: %w", f.Dir, ErrNoTokenizer)
	}
	t, err := chat.New(text, f.SpecialTokens(f.vocabulary.Tokenizer), vars)
	switch {
	case err == nil:
		return template{t}, nil
	case own:
		err = fmt.Errorf("%s: %w", f.Dir, err)
	}
	return nil, err
}

// Load loads the model onto a device. The files must stay open as long as the Model is used; it does not close them.
func (f *Files) Load(ctx context.Context, o Options) (*Model, error) {
	if o.Warm == nil {
		o.Warm = []int{256, 1}
	}
	e, err := engine.Open(ctx, f.Model, engine.Options{
		Device: o.Device, GPU: o.GPU, Kernels: o.Kernels, Context: o.Context, Sequences: o.Sequences, KVBits: o.KVBits,
		Check: !o.NoCheck, Tuning: o.Tuning, Warm: o.Warm, Progress: o.Progress, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	return f.On(e), nil
}

// On makes a Model from an open engine. Closing the Model closes the engine.
func (f *Files) On(e *engine.Engine) *Model {
	p := Parts{Vocabulary: f.vocabulary, Device: e.Device, Where: e.String(), Memory: e.Memory(), Identify: f.identity(), Close: func() error {
		e.Close()
		return nil
	}}
	switch cpu, ok := e.Forwarder.(Forwarder); {
	case e.Transformer != nil:
		p.Engine = e.Transformer
	case ok:
		p.Engine = OnCPU(cpu)
	}
	return New(p)
}

// identity returns what finds out, once, a hash of all that the weights follow from.
func (f *Files) identity() func(context.Context) (string, error) {
	var mu sync.Mutex
	var known string
	return func(ctx context.Context) (id string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if known == "" {
			known, err = f.Fingerprint(ctx)
		}
		return known, err
	}
}

// template is a chat.Template as the package knows it.
type template struct{ *chat.Template }

func (t template) Render(messages []Message, addGenerationPrompt bool) (string, error) {
	list := make([]chat.Message, len(messages))
	for i, m := range messages {
		list[i] = chat.Message{Role: m.Role, Content: m.Content, Reasoning: m.Reasoning, CallID: m.CallID, Name: m.Name}
		for _, c := range m.Calls {
			list[i].Calls = append(list[i].Calls, chat.Call{ID: c.ID, Name: c.Name, Arguments: json.RawMessage(c.Arguments)})
		}
	}
	return t.Template.Render(list, addGenerationPrompt)
}

// badTemplate is a template that cannot be parsed, which matters to those who chat.
type badTemplate struct{ err error }

func (t badTemplate) Render([]Message, bool) (string, error) { return "", t.err }
