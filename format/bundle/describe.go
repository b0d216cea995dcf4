package bundle

import (
	"fmt"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// StoredAs names a type and its block size, as in int4/128.
func StoredAs(t Type, block int) string {
	if block == 0 {
		return string(t)
	}
	return fmt.Sprintf("%s/%d", t, block)
}

// String says in a line how the bundle was quantized.
func (q *Quantization) String() string {
	s := StoredAs(Type(q.Format), q.Block)
	if q.Bits > 0 {
		s = fmt.Sprintf("%g bits", q.Bits)
	}
	if q.Method != "" {
		s += " by " + q.Method
	}
	if len(q.Overrides) > 0 && q.Bits == 0 {
		s += ", mixed"
	}
	if q.Rotate {
		s += ", rotated"
	}
	if q.EmbedFormat != "" {
		s += ", embedding " + q.EmbedFormat
	}
	if q.HeadFormat != "" {
		s += ", head " + q.HeadFormat
	}
	if len(q.KeepF16) > 0 {
		s += ", f16 where " + strings.Join(q.KeepF16, " or ")
	}
	return s
}

// String says in a line what verification found.
func (p *Parity) String() string {
	s := map[bool]string{true: "passed", false: "FAILED"}[p.Pass]
	if r := p.Runtime; r != nil {
		s += fmt.Sprintf("; runtime relative RMS %.3g", r.RelRMS)
	}
	if d := p.Drift; d != nil {
		s += fmt.Sprintf("; mean KLD %.4g, same top token %.2f %%, perplexity %.4g (checkpoint %.4g)", d.MeanKLD, 100*d.Top1, d.PPL, d.PPLReference)
	}
	return s
}

// Bits reports the bits per weight, scales included, of the matrices in the layers and of everything: embedding and
// head weigh much in a small model and little in a large one.
func (m *Manifest) Bits() (layers, all float64) {
	var bytes, n, bytesAll, nAll int64
	for i := range m.Tensors {
		t := m.Tensors[i].Model()
		count := model.Elements([]model.Tensor{t})
		bytesAll, nAll = bytesAll+m.Tensors[i].Length, nAll+count
		if t.Quantizable() && t.Layer >= 0 {
			bytes, n = bytes+m.Tensors[i].Length, n+count
		}
	}
	return 8 * float64(bytes) / float64(max(n, 1)), 8 * float64(bytesAll) / float64(max(nAll, 1))
}
