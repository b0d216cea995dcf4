package bundle

import (
	"fmt"
	"strings"
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
