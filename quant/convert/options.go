package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Options say how to convert.
type Options struct {
	Format      string // of matrices: int8, int4, int2 or f16
	Block       int    // weights that share a scale; 0: 128, for int2 256, or as Fit chooses
	Fit         bool   // what is left open follows from the model's size and shape
	Method      quant.Method
	EmbedFormat string           // of the embedding, "": Format
	HeadFormat  string           // of the head, "": Format
	KeepF16     []*regexp.Regexp // matrices with these names are kept as f16
	Overrides   []Override       // for the other matrices, the first that matches, whatever their role
	Bits        float64          // a weight in the layers, which the overrides were chosen for, see Allocate; 0: none were
	Rotate      bool             // the source's weights are Rotated
	Sanitize    bool             // see quant.Options
	Saturate    bool             // see quant.Options
	MaxFile     int64            // bytes that a file of the bundle may have; 0: any
	Calibration Calibration      // for the method GPTQ
	Correction  float64          // share of earlier layers' errors that GPTQ compensates for, see quant.Feedback.Toward
	Unrefined   bool             // GPTQ does not refine scales, codes and zero-points after its feedback
	Text        string           // what the calibration text is, for the manifest: its hash and extent

	Generator string  // program and version, for the manifest
	fitted    *fitted // by Fit, for a source

	Threads  int  // workers; 0: one for each processor
	Strict   bool // warnings that are known before anything is written are errors
	Force    bool // replace a bundle that is there
	Stale    outdir.Stale
	Progress func(Progress)
}

// Override is a format for matrices of some names.
type Override struct {
	Match  *regexp.Regexp
	Format string // int8, int4, int2 or f16
	Block  int    // 0: as for other matrices of this format
}

// Check reports options that make no sense whatever the source is.
func (o Options) Check() error { return o.complete() }

// complete checks the options and fills in defaults.
func (o *Options) complete() error {
	for _, f := range []struct{ name, value string }{
		{"format", o.Format}, {"embed format", o.EmbedFormat}, {"head format", o.HeadFormat},
	} {
		t := bundle.Type(f.value)
		if !t.Quantized() && t != bundle.F16 && (f.value != "" || f.name == "format") {
			return fmt.Errorf("%s %q: want int8, int4 or int2, or f16 to keep the values", f.name, f.value)
		}
	}
	if o.Method == "" {
		o.Method = quant.Search
	}
	if o.Method != quant.RTN && o.Method != quant.Search && o.Method != GPTQ {
		return fmt.Errorf("method %q: want %s, %s or %s", o.Method, quant.RTN, quant.Search, GPTQ)
	}
	if o.MaxFile < 0 {
		return fmt.Errorf("files of at most %d bytes", o.MaxFile)
	}
	for _, v := range o.Overrides {
		if err := v.check(); err != nil {
			return err
		}
	}
	if o.Block != 0 {
		if err := (block.Scheme{Bits: 8, Block: o.Block}).Validate(); err != nil {
			return err
		}
	}
	if o.Threads < 0 {
		return fmt.Errorf("%d threads: want 1 or more, or 0 for one per CPU", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Generator == "" {
		o.Generator = "llama-webgpu"
	}
	return nil
}

func (v *Override) check() error {
	t := bundle.Type(v.Format)
	switch {
	case !t.Quantized() && t != bundle.F16:
		return fmt.Errorf("override %q: format %q: want int8, int4, int2 or f16", v.Match, v.Format)
	case t == bundle.F16 && v.Block != 0:
		return fmt.Errorf("override %q: f16 has no blocks", v.Match)
	case v.Block != 0:
		if err := (block.Scheme{Bits: 8, Block: v.Block}).Validate(); err != nil {
			return fmt.Errorf("override %q: %w", v.Match, err)
		}
	}
	return nil
}

// block returns the block size for a type, 0 for one without blocks.
func (o *Options) block(t bundle.Type) int {
	switch {
	case !t.Quantized():
		return 0
	case o.Block != 0:
		return o.Block
	case o.fitted != nil && o.fitted.block[t] != 0:
		return o.fitted.block[t]
	case t == bundle.Int2:
		return 256
	}
	return 128
}

// matrix returns the type that a matrix is stored as, and its block size.
func (o *Options) matrix(t model.Tensor) (bundle.Type, int) {
	format, block := o.choice(t)
	switch {
	case block == 0 && o.Block == 0 && o.fitted != nil && format.Quantized():
		return format, fitBlock(format.Bits(), o.block(format), t.Cols())
	case block == 0:
		return format, o.block(format)
	}
	return format, block
}

// choice returns the type that a matrix is stored as, and its block size if that was chosen for it.
func (o *Options) choice(t model.Tensor) (bundle.Type, int) {
	for _, re := range o.KeepF16 {
		if re.MatchString(t.Name) {
			return bundle.F16, 0
		}
	}
	for _, v := range o.Overrides {
		if v.Match.MatchString(t.Name) {
			return bundle.Type(v.Format), v.Block
		}
	}
	if r, ok := o.fitted.rule(t); ok {
		return r.kind, r.block
	}
	format := bundle.Type(o.Format)
	switch embed, head := o.outside(); {
	case (t.Role == model.RoleEmbed || t.Role == model.RoleLayerEmbed) && embed != "":
		format = embed
	case t.Role == model.RoleHead && head != "":
		format = head
	}
	return format, 0
}

// outside returns the types of embedding and head, "" for that of the other matrices.
func (o *Options) outside() (embed, head bundle.Type) {
	embed, head = bundle.Type(o.EmbedFormat), bundle.Type(o.HeadFormat)
	if f := o.fitted; f != nil {
		embed, head = cmp.Or(embed, f.embed), cmp.Or(head, f.head)
	}
	return embed, head
}

// record returns what the manifest says of the options, for the tensors of a model.
func (o *Options) record(tensors []model.Tensor) bundle.Quantization {
	embed, head := o.outside()
	q := bundle.Quantization{
		Format: o.Format, Block: o.block(bundle.Type(o.Format)), EmbedFormat: string(embed), HeadFormat: string(head),
		Bits: o.Bits, Rotate: o.Rotate, Sanitize: o.Sanitize, Saturate: o.Saturate, MaxFile: o.MaxFile, Calibration: o.Text, Correction: o.Correction, Unrefined: o.Unrefined,
	}
	for _, v := range slices.Concat(o.Overrides, o.fitted.overrides(tensors)) {
		q.Overrides = append(q.Overrides, bundle.Override{Match: v.Match.String(), Format: v.Format, Block: v.Block})
	}
	if o.Format != string(bundle.F16) || o.EmbedFormat != "" || o.HeadFormat != "" || len(o.Overrides) > 0 {
		q.Method = string(o.Method)
	}
	for _, re := range o.KeepF16 {
		q.KeepF16 = append(q.KeepF16, re.String())
	}
	return q
}
