package auto

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// checkpoint is what is converted.
type checkpoint struct {
	*source.Model
	rotated *convert.Rotated // its Weights, if they are; or nil
	notes   []string         // what else people should know
}

func openCheckpoint(dir string, edits []hf.Edit) (*checkpoint, error) {
	m, err := source.OpenCheckpoint(dir, edits...)
	if err != nil {
		return nil, err
	}
	return &checkpoint{Model: m}, nil
}

// converter describes the checkpoint to the converter.
func (s *checkpoint) converter() convert.Source {
	ck := s.Checkpoint
	vocab, _, _ := ck.Tokenizer() // checkTokenizer has reported any error
	src := convert.Source{
		Weights: s.Weights, Tokenizer: vocab, BOS: s.BOS, EOS: s.EOS, ChatTemplate: ck.ChatTemplate(), Special: ck.SpecialTokens(),
		Notes: append(slices.Clone(ck.Notes()), s.notes...), Documents: map[string]string{}, Merged: s.Merged, Alone: hf.IsGGUF(s.Dir),
	}
	for _, name := range bundle.DocumentNames {
		if source.Exists(s.Dir, name) && !ck.Unreadable(name) {
			src.Documents[name] = filepath.Join(s.Dir, name)
		}
	}
	if ck.Edited() || s.rotated != nil {
		src.Config = ck.Config()
	}
	if s.rotated != nil && ck.Spec().TiedHead {
		src.Config = untied(src.Config)
	}
	for i, t := range s.Weights.Tensors() {
		src.Bytes = append(src.Bytes, s.bytes(i, t))
	}
	for _, f := range ck.Files() {
		src.Files = append(src.Files, f.Path)
	}
	return src
}

// bytes reports how many bytes of the checkpoint tensor i comes from.
func (s *checkpoint) bytes(i int, t model.Tensor) int64 {
	switch r := s.rotated; {
	case r == nil:
		return s.Checkpoint.Bytes(i)
	case t.Role == model.RoleHead && s.Checkpoint.Spec().TiedHead:
		return 0 // it is the embedding's
	default:
		return s.Checkpoint.Bytes(r.Origin(i))
	}
}

// headName is what the head is called that was the embedding.
const headName = "lm_head.weight"

// rotate puts the rotated model in the checkpoint's place.
func (s *checkpoint) rotate() error {
	r, err := convert.Rotate(s.Weights, headName)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Dir, err)
	}
	s.Weights, s.rotated = r, r
	return nil
}

// untied returns a config.json that says that the head is a matrix of its own.
func untied(config []byte) []byte {
	var c map[string]json.RawMessage
	if json.Unmarshal(config, &c) != nil {
		return config // of a checkpoint that was opened, it is an object
	}
	c["tie_word_embeddings"] = json.RawMessage("false")
	out, err := json.Marshal(c)
	if err != nil {
		return config
	}
	return out
}
