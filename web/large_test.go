package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// large is a model of more than 5 GB that is nowhere stored: its tensors repeat a pattern.
type large struct {
	description []byte // {manifest, tensors: [{offset, space}]} as JSON
	header      []byte // of its file
}

// pattern returns the bytes that each tensor repeats.
func pattern() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// largeSpec is a model of about 5.4 billion weights.
func largeSpec() model.Spec {
	const heads, dim, hidden = 64, 64, 4096
	s := model.Spec{
		Family: "llama", Vocab: 128256, Hidden: hidden, MaxPositions: 1024, EmbedScale: 1, LogitScale: 1, TiedHead: true,
		Norm: model.Norm{Kind: model.RMSNorm, Eps: 1e-5},
		RoPE: []model.RoPE{{Dim: dim, InvFreq: make([]float32, dim/2), Scale: 1}},
		Kinds: []model.Layer{{
			PreNorm: true, ResidualScale: 1,
			Attention: model.Attention{Heads: heads, KVHeads: 8, HeadDim: dim, Scale: 0.125},
			MLP:       model.MLP{Intermediate: 14336, Activation: model.SiLU, Gated: true},
		}},
	}
	s.Layers = make([]int, 22)
	return s
}

func newLarge() (*large, error) {
	block := pattern()
	m, places, text, err := madeUp(largeSpec(), bundle.Int8, func(bundle.Type) []byte { return block })
	if err != nil {
		return nil, err
	}
	description, err := json.Marshal(map[string]any{"manifest": json.RawMessage(text), "tensors": places})
	if err != nil {
		return nil, err
	}
	return &large{description, blobHeader(m.ID, m.Files[0].Size)}, nil
}

// place is where a tensor lies in model.wgpu, in bytes.
type place struct {
	Offset int64 `json:"offset"`
	Space  int64 `json:"space"` // including the padding
}

// madeUp describes a bundle whose matrices are of the given type, in blocks of 128, and whose tensors
// repeat the pattern of their type.
func madeUp(spec model.Spec, kind bundle.Type, pattern func(bundle.Type) []byte) (m *bundle.Manifest, places []place, text []byte, err error) {
	m = &bundle.Manifest{
		FormatVersion: bundle.Version, Generator: "test", Spec: spec,
		Quantization: bundle.Quantization{Format: string(kind), Block: 128, Method: "rtn"},
		Tokenizer:    bundle.Tokenizer{BOS: -1},
	}
	type content struct {
		kind   bundle.Type
		length int64
	}
	end, sums := int64(256), map[content]string{}
	for i, t := range m.Spec.Tensors() {
		e := bundle.Tensor{Name: fmt.Sprintf("t%d", i), Role: t.Role, Layer: t.Layer, Shape: t.Shape, Type: bundle.F16, Offset: end}
		if t.Quantizable() {
			e.Type, e.Block, e.Method = kind, 128, "rtn"
		}
		e.Length = int64(e.RowBytes()) * int64(t.Rows())
		c := content{e.Type, e.Length}
		if sums[c] == "" {
			sums[c] = sumOf(pattern(e.Type), e.Length)
		}
		e.SHA256 = sums[c]
		m.Tensors = append(m.Tensors, e)
		next := (end + e.Length + 255) &^ 255
		places = append(places, place{end, next - end})
		end = next
	}
	m.Files = []bundle.File{{Name: bundle.BlobName, Size: end}}
	text, err = withID(m)
	return m, places, text, err
}

// sumOf returns the SHA-256 of n bytes that repeat a pattern.
func sumOf(pattern []byte, n int64) string {
	h := sha256.New()
	for ; n > 0; n -= int64(len(pattern)) {
		h.Write(pattern[:min(n, int64(len(pattern)))])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// withID sets the manifest's id, as docs/format.md defines it, and returns its text.
func withID(m *bundle.Manifest) ([]byte, error) {
	text, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	var all, some map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	some = map[string]json.RawMessage{}
	for _, key := range []string{"format_version", "generator", "quantization", "source", "spec"} {
		some[key] = all[key]
	}
	raw, err := json.Marshal(some)
	if err != nil {
		return nil, err
	}
	v := jsontext.Value(raw)
	if err := v.Canonicalize(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(v)
	m.ID = hex.EncodeToString(sum[:16])
	return m.Marshal()
}

// blobHeader is the header of model.wgpu.
func blobHeader(id string, size int64) []byte {
	var b bytes.Buffer
	b.WriteString("LLWGPU\r\n")
	raw, _ := hex.DecodeString(id)
	_ = binary.Write(&b, binary.LittleEndian, [2]uint32{1, 256}) // a bytes.Buffer never fails
	b.Write(raw)
	_ = binary.Write(&b, binary.LittleEndian, uint64(size))
	return append(b.Bytes(), make([]byte, 256-b.Len())...)
}
