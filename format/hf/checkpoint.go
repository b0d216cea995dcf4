// Package hf reads Hugging Face checkpoints: config.json into a model.Spec, and safetensors files,
// mapped into memory, into the tensors that the Spec lists. Weights that are quantized are handed out
// as the values that they stand for, and LoRA adapters can be merged into them. It also writes the
// tensors of a Spec as such a checkpoint. It never quantizes, and never runs a model.
package hf

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// Checkpoint is an open checkpoint directory. It implements model.Weights and may be used by
// several goroutines, but not after Close. The files must not change while it is open.
type Checkpoint struct {
	dir     string
	config  *config
	gguf    *ggufModel // nil: it is no GGUF file
	text    []byte     // config.json, edited
	edited  bool       // text is not that of the file
	shards  *shards
	tensors []model.Tensor
	bound   []bound // for each of tensors, where it lies
	files   []File
	notes   []string
	prefix  prefix

	adapters []*shards

	tokens   Tokens
	special  map[string]string // texts of special tokens by their names, nil: not known
	template string
	adds     map[string]bool // add_bos_token and add_eos_token, where they are said
	broken   map[string]bool // names of small files that cannot be read
	vocab    vocabulary
}

var _ model.Weights = (*Checkpoint)(nil)

// File is a file of a checkpoint.
type File struct {
	Path string
	Size int64
}

// SHA256 reads the file and returns its hash in hexadecimal.
func (f File) SHA256() (string, error) {
	r, err := os.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("%s: %w", f.Path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Open reads the configuration of the checkpoint in dir, maps its weights, and checks that every
// tensor is there, in its shape and a supported type, and no other.
//
// A logical tensor that is only a part of a stored one has a name with the rows of its output:
// "…qkv_proj.weight[0:128]", or, where the parts alternate head by head,
// "…query_key_value.weight[0:32 of 96]". One that stacks the tensors of all experts has a * in
// place of their number.
//
// Edits, in their order, change the configuration before it is read.
func Open(dir string, edits ...Edit) (*Checkpoint, error) {
	if paths, err := findGGUF(dir); paths != nil || err != nil {
		return openGGUFCheckpoint(paths, edits, err)
	}
	if !present(dir, "config.json") {
		return nil, fmt.Errorf("%s: %s", dir, Recognize(dir).Advice)
	}
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if what := disguised(data); what != "" {
		return nil, fmt.Errorf("%s: %s", path, what)
	}
	size := int64(len(data))
	data, notes, err := lenient(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, edit := range edits {
		if data, err = edit(data); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	config, err := parseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := openShards(dir)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{dir: dir, config: config, text: data, edited: len(edits) > 0, shards: s, notes: slices.Concat(notes, config.notes, s.notes)}
	if present(dir, "config_sentence_transformers.json") || present(dir, "1_Pooling") {
		c.notes = append(c.notes, "warning: this is an embedding model of sentence-transformers: as a language model, it may write nothing that makes sense")
	}
	c.files = append([]File{{path, size}}, s.files...)
	if err := c.readQuantizationFile(dir); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := mapped.Reading(func() error { return c.bind(dir) }); err != nil {
		if len(s.notes) > 0 {
			err = fmt.Errorf("%w (%s)", err, strings.Join(s.notes, "; "))
		}
		return nil, errors.Join(err, s.close())
	}
	c.readTokens()
	return c, nil
}

// Close unmaps the files. The slices that Raw returned must not be used any more.
func (c *Checkpoint) Close() error {
	err := c.shards.close()
	for _, s := range c.adapters {
		err = errors.Join(err, s.close())
	}
	return err
}

// Config returns the text of config.json, edited.
func (c *Checkpoint) Config() []byte { return c.text }

// Edited reports whether Config differs from the file: by edits, or because it contradicts the weights.
func (c *Checkpoint) Edited() bool { return c.edited }

// Spec describes the model.
func (c *Checkpoint) Spec() *model.Spec { return c.config.spec }

// Tensors lists the tensors in the order of Spec.Tensors.
func (c *Checkpoint) Tensors() []model.Tensor { return c.tensors }

// Files lists the files that were read: configuration, index, weights, token settings.
func (c *Checkpoint) Files() []File { return c.files }

// Ignored lists the keys of config.json that were not read, because nothing that the model computes
// depends on them.
func (c *Checkpoint) Ignored() []string { return c.config.ignored }

// Notes says what was left out of the model.
func (c *Checkpoint) Notes() []string { return c.notes }

// SourceType returns the type of tensor i in the checkpoint: F16, BF16, F32, F64, F8_E4M3, F8_E5M2, or a
// description of how it is quantized.
func (c *Checkpoint) SourceType(i int) string { return c.bound[i].parts[0].kind }

// Bytes reports how many bytes tensor i has in the checkpoint, with scales and whatever else belongs
// to it. For a tensor that is stored together with others, it is a share.
func (c *Checkpoint) Bytes(i int) int64 {
	var n int64
	b := &c.bound[i]
	for k := range b.parts {
		n += int64(b.parts[k].bytes)
	}
	return n * int64(b.rows) / int64(b.total)
}

// kinds says how quantized tensors are stored.
func (c *Checkpoint) kinds() (notes []string) {
	count := map[string]int{}
	for i := range c.bound {
		if p := &c.bound[i].parts[0]; p.values != nil && decoders[p.kind] == nil {
			count[c.SourceType(i)]++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		notes = append(notes, fmt.Sprintf("quantized in the checkpoint: %s as %s", counted(count[kind], "tensor", "tensors"), kind))
	}
	return notes
}

// counted writes a number and what it counts.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// Raw returns the bytes of tensor i, little-endian and of its SourceType, if they lie in one piece and in the
// order [rows][cols], and are its values. Reading them may cause a fault: see mapped.Reading.
func (c *Checkpoint) Raw(i int) ([]byte, bool) {
	b := &c.bound[i]
	if len(b.parts) != 1 || b.experts != 1 || b.transposed || b.group != b.rows {
		return nil, false
	}
	if p := &b.parts[0]; p.values != nil || b.adjusted() || len(b.changes) > 0 {
		return nil, false
	}
	size := elementSize[b.parts[0].dtype]
	from := b.first * b.cols * size
	return b.parts[0].data[from : from+b.rows*b.cols*size], true
}

// Rows fills dst, [n][Cols], with rows row0 to row0+n−1 of tensor i. Its error is a mapped.ErrFault if a file was cut short.
func (c *Checkpoint) Rows(i, row0, n int, dst []float32) error {
	t := &c.tensors[i]
	if row0 < 0 || n < 0 || row0 > t.Rows()-n || len(dst) != n*t.Cols() {
		return fmt.Errorf("tensor %q: rows %d–%d of %d into %d numbers of %d", t.Name, row0, row0+n, t.Rows(), len(dst), n*t.Cols())
	}
	b := &c.bound[i]
	if b.vectors(t) { // a vector is one row to the reader, but rows of one column here
		row0, n = row0*b.rows, n*b.rows
	}
	return mapped.Reading(func() error {
		for n > 0 {
			expert, row := row0/b.rows, row0%b.rows
			run := min(n, b.rows-row)
			b.read(expert, row, run, dst[:run*b.cols])
			row0, n, dst = row0+run, n-run, dst[run*b.cols:]
		}
		return nil
	})
}
