package bundle

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Limits on the sizes in a spec, far above any model's, that keep products of two within an int.
const (
	maxDim    = 1 << 28
	maxHeads  = 1 << 14
	maxLayers = 1 << 14
)

// align is what the offsets of tensors are multiples of.
const align = 256

// aligned rounds n up to a multiple of align.
func aligned(n int64) int64 { return (n + align - 1) &^ (align - 1) }

// check reports what in the manifest contradicts itself.
func (m *Manifest) check() error {
	if err := checkSpec(&m.Spec); err != nil {
		return err
	}
	if err := m.checkQuantization(); err != nil {
		return err
	}
	if err := m.checkTensors(); err != nil {
		return err
	}
	for _, f := range m.Source.Files {
		if !isSHA256(f.SHA256) || f.Size < 0 {
			return corrupt("source file %q: size %d, sha256 %q", f.Name, f.Size, f.SHA256)
		}
	}
	for i, layer := range m.KVFloat32 {
		if layer < 0 || layer >= len(m.Spec.Layers) || i > 0 && layer <= m.KVFloat32[i-1] {
			return corrupt("kv_float32: %v: want layers from 0 to %d, in order", m.KVFloat32, len(m.Spec.Layers)-1)
		}
	}
	for name := range m.Documents {
		if !slices.Contains(DocumentNames, name) {
			return corrupt("documents: %q: want %s", name, strings.Join(DocumentNames, ", "))
		}
	}
	return m.checkTokenizer()
}

// size is a number in a spec that must lie between least and most.
type size struct {
	name        string
	value       int
	least, most int
}

func checkSizes(where string, sizes []size) error {
	for _, s := range sizes {
		if s.value < s.least || s.value > s.most {
			return fmt.Errorf("%s: %s is %d: want %d to %d", where, s.name, s.value, s.least, s.most)
		}
	}
	return nil
}

// checkSpec reports what would make Spec.Tensors or Spec.Layer fail.
func checkSpec(s *model.Spec) error {
	err := checkSizes("spec", []size{
		{"vocab", s.Vocab, 1, maxDim},
		{"hidden", s.Hidden, 1, maxDim},
		{"max_positions", s.MaxPositions, 0, math.MaxInt32},
		{"positions", s.Positions, 0, maxDim},
		{"context_limit", s.ContextLimit, 0, maxDim},
		{"number of layers", len(s.Layers), 0, maxLayers},
	})
	if err != nil {
		return corrupt("%w", err)
	}
	if n := s.Norm.Kind; n != model.RMSNorm && n != model.LayerNorm {
		return corrupt("spec: norm kind %q: want %s or %s", n, model.RMSNorm, model.LayerNorm)
	}
	for i, k := range s.Layers {
		if k < 0 || k >= len(s.Kinds) {
			return corrupt("spec: layer %d is of kind %d: there are %d kinds", i, k, len(s.Kinds))
		}
	}
	for i := range s.RoPE {
		if r := &s.RoPE[i]; r.Dim != 2*len(r.InvFreq) {
			return corrupt("spec: rope %d: dim is %d for %d frequencies: want twice as many", i, r.Dim, len(r.InvFreq))
		}
	}
	for i := range s.Kinds {
		if err := checkLayer(s, &s.Kinds[i]); err != nil {
			return corrupt("spec: kind %d: %w", i, err)
		}
	}
	return nil
}

func checkLayer(s *model.Spec, y *model.Layer) error {
	m := &y.MLP
	least := 1
	if *m == (model.MLP{}) {
		least = 0
	}
	err := checkSizes("layer", []size{
		{"intermediate", m.Intermediate, least, maxDim},
		{"experts", m.Experts, 0, maxDim},
		{"top_k", m.TopK, 0, m.Experts},
		{"shared", m.Shared, 0, maxDim},
		{"expert_width", m.ExpertWidth, 0, maxDim},
		{"groups", m.Groups, 0, m.Experts},
		{"top_groups", m.TopGroups, 0, m.Groups},
		{"group_best", m.GroupBest, 0, m.Experts},
	})
	if err != nil {
		return err
	}
	if y.Recurrence.Taps > 0 {
		err = checkRecurrence(&y.Recurrence)
	}
	if err != nil {
		return err
	}
	if y.Attention == (model.Attention{}) {
		return nil
	}
	return checkAttention(s, &y.Attention)
}

func checkRecurrence(r *model.Recurrence) error {
	return checkSizes("recurrence", []size{
		{"heads", r.Heads, 1, maxHeads},
		{"value_dim", r.ValueDim, 1, maxDim},
		{"key_heads", r.KeyHeads, min(1, r.KeyDim), r.Heads},
		{"key_dim", r.KeyDim, 0, maxHeads},
		{"norm_groups", r.NormGroups, 0, r.Width()},
	})
}

func checkAttention(s *model.Spec, a *model.Attention) error {
	err := checkSizes("attention", []size{
		{"heads", a.Heads, 1, maxHeads},
		{"kv_heads", a.KVHeads, 1, maxHeads},
		{"head_dim", a.HeadDim, 1, maxHeads},
		{"rope", a.RoPE, -1, len(s.RoPE) - 1},
		{"kv_rank", a.KVRank, 0, maxDim},
		{"q_rank", a.QRank, 0, maxDim},
		{"shared_dim", a.SharedDim, 0, a.HeadDim - min(1, a.KVRank)},
		{"value_dim", a.ValueDim, min(1, a.KVRank), maxHeads},
	})
	if err != nil {
		return err
	}
	if a.Heads%a.KVHeads != 0 {
		return fmt.Errorf("%d heads are no multiple of %d kv_heads", a.Heads, a.KVHeads)
	}
	if a.KVRank > 0 && (a.KVHeads != a.Heads || a.RoPE < 0) {
		return fmt.Errorf("%d kv_heads and rope %d with a kv_rank: want as many as there are heads, %d, and a rope", a.KVHeads, a.RoPE, a.Heads)
	}
	if a.RoPE >= 0 && s.RoPE[a.RoPE].Dim > a.HeadDim {
		return fmt.Errorf("rope %d rotates %d of %d elements", a.RoPE, s.RoPE[a.RoPE].Dim, a.HeadDim)
	}
	return nil
}

func (m *Manifest) checkQuantization() error {
	q := &m.Quantization
	for _, f := range []string{q.Format, q.EmbedFormat, q.HeadFormat} {
		if t := Type(f); f != "" && !t.Quantized() && t != F16 {
			return corrupt("quantization: format %q: want int8, int4, int2 or f16", f)
		}
	}
	if q.Format == "" {
		return corrupt("quantization: no format")
	}
	if q.MaxFile < 0 {
		return corrupt("quantization: max_shard_size is %d", q.MaxFile)
	}
	for _, o := range q.Overrides {
		t := Type(o.Format)
		if !t.Quantized() && (t != F16 || o.Block != 0) {
			return corrupt("quantization: override %q: format %q, block %d: want int8, int4, int2, or f16 without a block", o.Match, o.Format, o.Block)
		}
	}
	return nil
}

// checkTensors compares the tensors with the spec, and where they lie with what they need.
func (m *Manifest) checkTensors() error {
	want := m.Spec.Tensors()
	if err := m.checkFiles(); err != nil {
		return err
	}
	file, end := 0, int64(headerSize)
	names := map[string]int{}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if i >= len(want) {
			return corrupt("tensor %q: the spec has only %d tensors, this is one more", t.Name, len(want))
		}
		if j, ok := names[t.Name]; ok {
			return corrupt("tensor %q: number %d and number %d have this name", t.Name, j, i)
		}
		names[t.Name] = i
		if t.File == file+1 && t.File < len(m.Files) {
			if err := m.checkEnd(file, end); err != nil {
				return err
			}
			file, end = t.File, headerSize
		}
		if t.File != file {
			return corrupt("tensor %q: file is %d: want %d, or the next of %d", t.Name, t.File, file, len(m.Files))
		}
		if err := t.check(&want[i], end); err != nil {
			return corrupt("tensor %q: %w", t.Name, err)
		}
		end = aligned(t.Offset + t.Length)
	}
	if n := len(m.Tensors); n < len(want) {
		return corrupt("the %s of layer %d is missing: the spec has %d tensors, the manifest %d", want[n].Role, want[n].Layer, len(want), n)
	}
	if file != len(m.Files)-1 {
		return corrupt("%s: holds no tensor", m.Files[file+1].Name)
	}
	return m.checkEnd(file, end)
}

// checkFiles reports names that are not those of a blob in one or several files.
func (m *Manifest) checkFiles() error {
	if len(m.Files) == 0 {
		return corrupt("files: want one, %s, or several", BlobName)
	}
	for i, f := range m.Files {
		if want := blobName(i, len(m.Files)); f.Name != want {
			return corrupt("files: %q is number %d of %d: want %s", f.Name, i+1, len(m.Files), want)
		}
	}
	return nil
}

// checkEnd reports a file that does not end where its tensors do.
func (m *Manifest) checkEnd(file int, end int64) error {
	if f := m.Files[file]; f.Size != end || end == headerSize {
		return corrupt("%s: size is %d, its tensors end at %d", f.Name, f.Size, end)
	}
	return nil
}

// check compares the tensor with what the spec wants at this place, which starts at byte at.
func (t *Tensor) check(want *model.Tensor, at int64) error {
	switch {
	case t.Name == "":
		return fmt.Errorf("no name")
	case t.Role != want.Role:
		return fmt.Errorf("role is %q: the spec wants %q here", t.Role, want.Role)
	case t.Layer != want.Layer:
		return fmt.Errorf("layer is %d: the spec wants %d here", t.Layer, want.Layer)
	case !slices.Equal(t.Shape, want.Shape):
		return fmt.Errorf("shape is %v: the spec wants %v", t.Shape, want.Shape)
	case t.Error < 0 || t.Raised < 0 || t.Sanitized < 0 || t.Saturated < 0:
		return fmt.Errorf("an error or a count is negative")
	case !isSHA256(t.SHA256):
		return fmt.Errorf("sha256 is %q: want 64 hex digits", t.SHA256)
	}
	if err := t.checkType(want.Quantizable()); err != nil {
		return err
	}
	length, ok := t.bytes()
	switch {
	case !ok:
		return fmt.Errorf("shape %v is too large", t.Shape)
	case t.Length != length:
		return fmt.Errorf("length is %d: %v as %s with block %d takes %d bytes", t.Length, t.Shape, t.Type, t.Block, length)
	case t.Offset%align != 0:
		return fmt.Errorf("offset %d is no multiple of %d", t.Offset, align)
	case t.Offset < at:
		return fmt.Errorf("offset %d overlaps what ends at %d", t.Offset, at)
	case t.Offset > at:
		return fmt.Errorf("offset %d leaves a gap after %d", t.Offset, at)
	}
	return nil
}

// checkType reports whether the type suits the tensor and the block the type.
func (t *Tensor) checkType(matrix bool) error {
	switch {
	case t.Type.Bits() == 0:
		return fmt.Errorf("type %q: want int8, int4, int2, f16 or f32", t.Type)
	case matrix && t.Type == F32:
		return fmt.Errorf("type f32: a matrix is int8, int4, int2 or f16")
	case !matrix && t.Type.Quantized():
		return fmt.Errorf("type %s: a %s is f16 or f32", t.Type, t.Role)
	case !t.Type.Quantized() && t.Block != 0:
		return fmt.Errorf("block size %d: %s has no blocks", t.Block, t.Type)
	case !t.Type.Quantized() && t.Method != "":
		return fmt.Errorf("method %q: %s has no method", t.Method, t.Type)
	case !t.Type.Quantized():
		return nil
	case t.Method == "":
		return fmt.Errorf("no method")
	}
	if err := t.Scheme().Validate(); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

// bytes returns what the tensor takes, and whether that is a number of bytes that can be: its
// shape is not trusted.
func (t *Tensor) bytes() (int64, bool) {
	n := uint64(t.RowBytes())
	for _, d := range t.Shape[:len(t.Shape)-1] {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64>>8 {
			return 0, false
		}
		n = lo
	}
	return int64(n), true
}

func (m *Manifest) checkTokenizer() error {
	t := &m.Tokenizer
	if t.Size < 0 || t.Size > 0 && !isSHA256(t.SHA256) || t.Size == 0 && t.SHA256 != "" {
		return corrupt("tokenizer: size %d, sha256 %q", t.Size, t.SHA256)
	}
	if vocab := m.Spec.Vocab; t.BOS < -1 || t.BOS >= vocab {
		return corrupt("tokenizer: bos is %d: want a token of 0 to %d, or -1 for none", t.BOS, vocab-1)
	}
	for _, id := range t.EOS {
		if vocab := m.Spec.Vocab; id < 0 || id >= vocab {
			return corrupt("tokenizer: eos is %d: want a token of 0 to %d", id, vocab-1)
		}
	}
	return nil
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
