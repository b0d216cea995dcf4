package convert

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
)

// Names of files in a checkpoint.
const (
	configName          = "config.json"
	tokenizerName       = "tokenizer.json"
	tokenizerConfigName = "tokenizer_config.json"
)

// ErrNoConfig is the error for a bundle that cannot be turned back into a checkpoint.
var ErrNoConfig = errors.New("the manifest has no config.json, without which nothing opens a checkpoint: quantize the checkpoint again")

// ExportOptions say how a bundle becomes a checkpoint.
type ExportOptions struct {
	Type     string                  // of the weights: f16 or f32; what the bundle keeps as f32 stays so
	MaxFile  int64                   // bytes of a file of weights, 0: 5 GB; one tensor may be larger
	Force    bool                    // replace an existing directory
	Progress func(done, total int64) // told how many weights are written; may be nil
}

// Export turns a bundle back into a Hugging Face checkpoint, the directory out: its weights, dequantized, with the
// configuration and the tokenizer's files beside them. It does not compare the bundle with its hashes.
func Export(ctx context.Context, b *bundle.Bundle, out string, o ExportOptions) (*hf.Written, error) {
	config, files, err := documents(b)
	if err != nil {
		return nil, err
	}
	return hf.Write(ctx, out, b, config, hf.WriteOptions{
		Type: strings.ToUpper(o.Type), MaxFile: o.MaxFile, Force: o.Force, Files: files,
		Keep32:   func(i int) bool { return b.Manifest.Tensors[i].Type == bundle.F32 },
		Progress: o.Progress,
	})
}

// documents returns the configuration that came with a bundle, and the files that go beside it.
func documents(b *bundle.Bundle) (config []byte, files map[string][]byte, err error) {
	m := b.Manifest
	if config = m.Documents[configName]; config == nil {
		return nil, nil, ErrNoConfig
	}
	files = map[string][]byte{}
	for name, v := range m.Documents {
		if name != configName {
			files[name] = append(v, '\n')
		}
	}
	vocab, err := b.Vocab()
	if err != nil {
		return nil, nil, err
	}
	if vocab != nil {
		files[tokenizerName] = vocab
	}
	if settings := tokenSettings(m); settings != nil && m.Documents[tokenizerConfigName] == nil && vocab != nil {
		files[tokenizerConfigName] = settings
	}
	if m.Tokenizer.ChatTemplate != "" && !hasMember(jsontext.Value(m.Documents[tokenizerConfigName]), "chat_template") {
		files["chat_template.jinja"] = []byte(m.Tokenizer.ChatTemplate)
	}
	return config, files, nil
}

// tokenSettings names the special tokens for a tokenizer that had no settings, as one of a GGUF file; nil if they have no
// names.
func tokenSettings(m *bundle.Manifest) []byte {
	if len(m.Tokenizer.SpecialTokens) == 0 {
		return nil
	}
	settings := map[string]string{"tokenizer_class": "PreTrainedTokenizerFast"}
	maps.Copy(settings, m.Tokenizer.SpecialTokens)
	text, err := json.Marshal(settings, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return nil // strings can be marshaled
	}
	return append(text, '\n')
}

// hasMember reports whether an object has a member.
func hasMember(object jsontext.Value, name string) bool {
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return false
		}
		if t.String() == name {
			return true
		}
		if err := d.SkipValue(); err != nil {
			return false
		}
	}
	return false
}
