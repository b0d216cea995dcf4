// Package bundle writes and reads bundles: model.wgpu, or several files in its place, which holds the
// tensors of a model, manifest.json, which says what they are, and vocab.json, the tokenizer. It packs and decodes
// rows that others computed; it chooses no format and runs no model.
package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/strict"
	"github.com/llama-webgpu/llama-webgpu/internal/sha256"
)

// The files of a bundle.
const (
	BlobName     = "model.wgpu"
	ManifestName = "manifest.json"
	VocabName    = "vocab.json"
)

// Version is the version of the format that this package writes and reads.
const Version = 1

// Sentinels for callers that branch.
var (
	ErrCorrupt = errors.New("damaged bundle")
	ErrVersion = errors.New("unsupported format version")
)

// Manifest is manifest.json.
type Manifest struct {
	FormatVersion int          `json:"format_version"`
	ID            string       `json:"id"`        // 32 hex digits, see idOf
	Generator     string       `json:"generator"` // program and version
	Spec          model.Spec   `json:"spec"`
	Source        Source       `json:"source"`
	Quantization  Quantization `json:"quantization"`
	Files         []File       `json:"files"`   // the blob, in one or several files
	Tensors       []Tensor     `json:"tensors"` // in the order of Spec.Tensors, which is that of the blob
	Tokenizer     Tokenizer    `json:"tokenizer"`
	Documents     Documents    `json:"documents,omitempty"`
	Notes         []string     `json:"notes,omitempty"`  // what people should know about the conversion
	Parity        *Parity      `json:"parity,omitempty"` // what verification measured, if it ran

	// KVFloat32 are the layers, in order, with a key or value so large that float16 may not hold those of other texts.
	KVFloat32 []int `json:"kv_float32,omitempty"`
}

// Source says what a bundle was made from.
type Source struct {
	Files  []SourceFile `json:"files"`
	Merged []string     `json:"merged,omitempty"` // adapters that were merged, with their scales
}

// SourceFile is one file of the checkpoint.
type SourceFile struct {
	Name   string `json:"name"` // within the checkpoint's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Quantization holds the options of the conversion that change the bytes of the blob.
type Quantization struct {
	Format      string     `json:"format"`          // of matrices: int8, int4, int2 or f16
	Block       int        `json:"block,omitzero"`  // weights that share a scale, 0 for f16
	Method      string     `json:"method,omitzero"` // rtn, search or gptq, "" for f16
	EmbedFormat string     `json:"embed_format,omitzero"`
	HeadFormat  string     `json:"head_format,omitzero"`
	KeepF16     []string   `json:"keep_f16,omitempty"`  // regular expressions of names kept as f16
	Overrides   []Override `json:"overrides,omitempty"` // for matrices that KeepF16 does not match, the first that matches
	Bits        float64    `json:"bits,omitzero"`       // a weight in the layers, which overrides were chosen for
	Rotate      bool       `json:"rotate,omitzero"`     // the residual stream was rotated by an orthogonal matrix
	Sanitize    bool       `json:"sanitize,omitzero"`
	Saturate    bool       `json:"saturate,omitzero"`
	MaxFile     int64      `json:"max_shard_size,omitzero"` // bytes that a file may have, 0: any
	Calibration string     `json:"calibration,omitzero"`    // the text of method gptq: its hash and extent
	Correction  float64    `json:"correction,omitzero"`     // share of earlier layers' errors that gptq compensated for
	Unrefined   bool       `json:"unrefined,omitzero"`      // the result of gptq's feedback was not refined
}

// Override is a format for matrices of some names.
type Override struct {
	Match  string `json:"match"`  // a regular expression
	Format string `json:"format"` // int8, int4, int2 or f16
	Block  int    `json:"block,omitzero"`
}

// Documents are small JSON files of the checkpoint, by name, which are needed to turn the bundle
// back into a checkpoint. White space is not kept.
type Documents map[string]strict.Value

// DocumentNames are the names that Documents may have.
var DocumentNames = []string{"config.json", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json"}

// File is a file of the bundle that holds tensors.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Type says how the elements of a tensor are stored.
type Type string

// The types.
const (
	Int8 Type = "int8"
	Int4 Type = "int4"
	Int2 Type = "int2"
	F16  Type = "f16"
	F32  Type = "f32"
)

// Bits reports the width of a code or element, 0 for an unknown type.
func (t Type) Bits() int {
	switch t {
	case Int8:
		return 8
	case Int4:
		return 4
	case Int2:
		return 2
	case F16:
		return 16
	case F32:
		return 32
	}
	return 0
}

// Quantized reports whether the type is stored in blocks.
func (t Type) Quantized() bool { b := t.Bits(); return b > 0 && b <= 8 }

// Tensor describes a tensor and where it is stored.
type Tensor struct {
	Name   string     `json:"name"` // as in the checkpoint
	Role   model.Role `json:"role"`
	Layer  int        `json:"layer"` // −1 outside the layers
	Shape  []int      `json:"shape"`
	Type   Type       `json:"type"`
	Block  int        `json:"block,omitzero"` // weights that share a scale, 0 for f16 and f32
	File   int        `json:"file,omitzero"`  // index in Manifest.Files
	Offset int64      `json:"offset"`         // bytes from the start of the file, a multiple of 256
	Length int64      `json:"length"`         // bytes, without padding
	SHA256 string     `json:"sha256"`         // of these bytes
	Method string     `json:"method,omitzero"`
	Outcome
}

// Outcome says what was lost in storing a tensor.
type Outcome struct {
	Error     float64 `json:"error"`              // √(Σ(w−ŵ)²/Σw²)
	Raised    int64   `json:"raised,omitzero"`    // blocks whose scale was raised to a normal float16
	Sanitized int64   `json:"sanitized,omitzero"` // elements that were NaN or infinite
	Saturated int64   `json:"saturated,omitzero"` // blocks or elements held within float16
	Starved   int64   `json:"starved,omitzero"`   // experts that saw too little calibration text to be rounded for it alone
}

// Tokenizer says which tokens are special, and identifies vocab.json.
type Tokenizer struct {
	Size         int64  `json:"size,omitzero"`   // of vocab.json; it is absent if there is no tokenizer
	SHA256       string `json:"sha256,omitzero"` // of vocab.json
	BOS          int    `json:"bos"`             // −1 or absent: none
	EOS          []int  `json:"eos"`             // any of them ends the text
	ChatTemplate string `json:"chat_template,omitzero"`

	// SpecialTokens has the texts of special tokens by the names that the chat template knows them by: bos_token,
	// eos_token and others. If it is nil, bos_token is the text of BOS and eos_token that of the first of EOS.
	SpecialTokens map[string]string `json:"special_tokens,omitzero"`
}

// Parity is what verification measured.
type Parity struct {
	Pass    bool     `json:"pass"`
	Runtime *Runtime `json:"runtime,omitempty"`
	Drift   *Drift   `json:"drift,omitempty"`
}

// Runtime compares the GPU with the CPU on the same weights.
type Runtime struct {
	MaxAbs float64 `json:"max_abs"` // of the differences of logits
	RelRMS float64 `json:"rel_rms"`
}

// Drift compares the quantized model with its source.
type Drift struct {
	MeanKLD      float64 `json:"mean_kld"` // nats
	Top1         float64 `json:"top1"`     // share of positions, 0..1
	PPL          float64 `json:"ppl"`
	PPLReference float64 `json:"ppl_reference"`
}

// Scheme returns the tensor's block scheme; only a quantized one has one.
func (t *Tensor) Scheme() block.Scheme { return block.Scheme{Bits: t.Type.Bits(), Block: t.Block} }

// RowBytes reports how many bytes a row takes.
func (t *Tensor) RowBytes() int {
	cols := t.Shape[len(t.Shape)-1]
	if t.Type.Quantized() {
		return t.Scheme().RowBytes(cols)
	}
	return cols * t.Type.Bits() / 8
}

// Size returns the bytes of all files that hold tensors.
func (m *Manifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Model returns what package model knows of the tensor.
func (t *Tensor) Model() model.Tensor {
	return model.Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape}
}

// ParseManifest reads a manifest and checks it by itself. Unknown or duplicate keys, and anything
// after the manifest, are errors.
func ParseManifest(data []byte) (*Manifest, error) {
	var head struct {
		FormatVersion int `json:"format_version"`
	}
	if err := strict.UnmarshalSome(data, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if head.FormatVersion != Version {
		return nil, fmt.Errorf("%w: %d: this program reads %d", ErrVersion, head.FormatVersion, Version)
	}
	m := &Manifest{Tokenizer: Tokenizer{BOS: -1}}
	if err := strict.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	id, err := idOf(data)
	if err != nil {
		return nil, err
	}
	if id != m.ID {
		return nil, corrupt("id is %q, but spec, source, quantization and generator give %q", m.ID, id)
	}
	m.Spec.KVFloat32 = m.KVFloat32
	return m, nil
}

// identity has the members of the manifest that decide what is in the blob.
type identity struct {
	FormatVersion strict.Value `json:"format_version"`
	Generator     strict.Value `json:"generator"`
	Quantization  strict.Value `json:"quantization"`
	Source        strict.Value `json:"source"`
	Spec          strict.Value `json:"spec"`
}

// idOf computes the id that a stored manifest must have: the first 16 bytes of the SHA-256 of the
// canonical JSON (RFC 8785) of the members of identity, in hex.
func idOf(manifest []byte) (string, error) {
	var id identity
	if err := strict.UnmarshalSome(manifest, &id); err != nil {
		return "", fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	text := []byte{'{'}
	for _, m := range []struct {
		name string
		v    strict.Value
	}{
		{"format_version", id.FormatVersion},
		{"generator", id.Generator},
		{"quantization", id.Quantization},
		{"source", id.Source},
		{"spec", id.Spec},
	} {
		if len(m.v) == 0 {
			m.v = strict.Value("null")
		}
		text = fmt.Appendf(text, "%q:%s,", m.name, m.v)
	}
	text[len(text)-1] = '}'
	v, err := strict.Canonical(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	sum := sha256.Sum256(v)
	return hex.EncodeToString(sum[:16]), nil
}

// corrupt returns an ErrCorrupt that says what is wrong.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}
