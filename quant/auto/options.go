package auto

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"

	"github.com/dustin/go-humanize"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// Options say how to convert a checkpoint. Format or Bits must be set; the zero values of all others are good defaults.
type Options struct {
	Policy
	Adapters    []source.Adapter // merged into the weights first
	Edits       []hf.Edit        // changes of the configuration, see hf.ScaleRoPE
	Calibration Calibration      // for the method gptq
	Threads     int              // workers, 0: one for each CPU; the bytes do not depend on it
	Strict      bool             // fail instead of warning, before anything is written
	Force       bool             // replace an existing bundle
	Stale       outdir.Stale     // what to do with what an interrupted run left
	Generator   string           // program and version, for the manifest
	Log         *slog.Logger     // gets details that help to explain an error; may be nil

	Progress func(Progress)     // how far it is; may be nil
	Warn     func(string)       // what may keep the bundle from reading and writing text; may be nil
	Settled  func(Policy) error // the policy with what Bits has chosen, before anything is written; may be nil
}

// Policy decides the bytes of a bundle. It can be kept in a YAML file.
type Policy struct {
	Format       string     `yaml:"format,omitempty"`         // what matrices become: int8, int4, int2 or f16
	Bits         float64    `yaml:"-"`                        // per weight in the layers, at most; 0: no limit. What it chooses becomes overrides
	BlockSize    int        `yaml:"block_size,omitempty"`     // weights that share a scale, 0: by the model
	Method       string     `yaml:"method,omitempty"`         // search, rtn, gptq or auto; "": search
	EmbedFormat  string     `yaml:"embed_format,omitempty"`   // of the embedding, "": by the model
	HeadFormat   string     `yaml:"head_format,omitempty"`    // of the head, "": by the model
	KeepF16      []string   `yaml:"keep_f16,omitempty"`       // regular expressions: matrices with these names stay float16
	Overrides    []Override `yaml:"overrides,omitempty"`      // the first that matches wins
	Rotate       bool       `yaml:"rotate,omitempty"`         // see convert.Rotate
	Sanitize     bool       `yaml:"sanitize,omitempty"`       // replace NaN by 0, infinities by the largest value of their block
	Saturate     bool       `yaml:"saturate,omitempty"`       // clamp values that do not fit a float16 scale
	MaxShardSize string     `yaml:"max_shard_size,omitempty"` // of a file of weights, as 2GB or 100MB; "": one file
}

// Override is a format for matrices whose names match.
type Override struct {
	Match     string `yaml:"match"` // regular expression
	Format    string `yaml:"format"`
	BlockSize int    `yaml:"block_size,omitempty"` // 0: as for other matrices of this format
}

// Calibration says what the method gptq learns from, and where.
type Calibration struct {
	Text        string     // of the kind that the model will read and write, "": a general one
	Chat        string     // on: the text is read as conversations, in the model's chat template; off: as it is; "" or auto: on, if Text is empty and there is a template
	Windows     int        // read at most this many windows, spread over it, 0: 128, negative: all
	Tokens      int        // of a window, 0: 512
	Correction  float64    // share of earlier layers' errors that each matrix compensates for, 0: 0.5, negative: none
	Unrefined   bool       // do not refine scales, codes and zero-points after rounding with feedback
	Sensitivity string     // file that keeps what was measured for Bits, "": none
	Minutes     float64    // for the method auto: calibrate on the CPU if that takes no longer, with less text if need be; 0: 10
	Device      string     // gpu or cpu; "": a GPU, if there is a real one
	GPU         gpu.Select // which GPU
}

// Auto is the method that chooses between gptq and search.
const Auto = "auto"

// OptionError is a mistake in the options, whatever the checkpoint is.
type OptionError = option.Error

// Check reports options that make no sense whatever the checkpoint is, as an *OptionError.
func (o Options) Check() error {
	_, err := o.converter()
	return err
}

// WithDefaults returns the policy with a method, and with what Bits leaves open: what is not in a layer is int8, and the bundle is called after the
// format that is nearest to the bits.
func (p Policy) WithDefaults() Policy {
	p.Method = cmp.Or(p.Method, string(quant.Search))
	if p.Bits == 0 {
		return p
	}
	if p.Format == "" {
		p.Format = string(bundle.Int2)
		if p.Bits >= 4 {
			p.Format = string(bundle.Int4)
		}
	}
	p.EmbedFormat = cmp.Or(p.EmbedFormat, string(bundle.Int8))
	p.HeadFormat = cmp.Or(p.HeadFormat, string(bundle.Int8))
	return p
}

// converter returns what the converter takes, but for the calibration. Until the model is known, auto is search.
func (o Options) converter() (convert.Options, error) {
	p := o.WithDefaults()
	c := convert.Options{
		Format: p.Format, Block: p.BlockSize, Method: quant.Method(p.Method), EmbedFormat: p.EmbedFormat, HeadFormat: p.HeadFormat,
		Fit: true, Bits: p.Bits, Rotate: p.Rotate, Sanitize: p.Sanitize, Saturate: p.Saturate,
		Threads: o.Threads, Strict: o.Strict, Force: o.Force, Stale: o.Stale, Generator: o.Generator,
	}
	if p.Method == Auto {
		c.Method = quant.Search
	}
	var err error
	if c.KeepF16, c.Overrides, err = p.patterns(); err != nil {
		return c, err
	}
	if p.MaxShardSize != "" {
		if c.MaxFile, err = ParseSize(p.MaxShardSize); err != nil {
			return c, option.New("max-shard-size", p.MaxShardSize, err)
		}
	}
	if err := c.Check(); err != nil {
		return c, &OptionError{Err: err}
	}
	return c, o.checkMethod(c.Method)
}

// checkMethod reports options that need another method.
func (o Options) checkMethod(method quant.Method) error {
	switch {
	case o.Bits < 0 || math.IsNaN(o.Bits):
		return option.New("bits", fmt.Sprint(o.Bits), errors.New("want more than 0"))
	case o.Bits > 0 && method != convert.GPTQ:
		return option.New("bits", "", errors.New("needs the method gptq"))
	case o.Calibration.Sensitivity != "" && o.Bits == 0:
		return option.New("sensitivity", "", errors.New("is of use with bits only"))
	}
	if m := o.Calibration.Minutes; m < 0 || math.IsNaN(m) {
		return option.New("calibration-minutes", fmt.Sprint(m), errors.New("want more than 0"))
	}
	switch o.Calibration.Chat {
	case "", "auto", "on", "off":
	default:
		return option.New("calibration-chat", o.Calibration.Chat, errors.New("want auto, on or off"))
	}
	switch o.Calibration.Device {
	case "", "gpu", "cpu":
		return nil
	}
	return option.New("device", o.Calibration.Device, errors.New("want gpu or cpu"))
}

// patterns compiles the regular expressions.
func (p Policy) patterns() (keep []*regexp.Regexp, overrides []convert.Override, err error) {
	for _, pattern := range p.KeepF16 {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, nil, option.New("keep-f16", "", err)
		}
		keep = append(keep, re)
	}
	for _, v := range p.Overrides {
		re, err := regexp.Compile(v.Match)
		if err != nil {
			return nil, nil, option.New("override", "", err)
		}
		overrides = append(overrides, convert.Override{Match: re, Format: v.Format, Block: v.BlockSize})
	}
	return keep, overrides, nil
}

// ParseSize reads a number of bytes as 2GB, 100MB, 1GiB or 4096.
func ParseSize(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, errors.New("want a size such as 2GB, 100MB or 1GiB")
	}
	return int64(n), nil
}
