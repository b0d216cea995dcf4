package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// policy is what decides the bytes of a bundle, as flags or a file say it.
type policy struct {
	Format       string     `yaml:"format,omitempty"`
	Bits         float64    `yaml:"-"` // a wish, of which the overrides are what came out
	BlockSize    int        `yaml:"block_size,omitempty"`
	Method       string     `yaml:"method,omitempty"`
	EmbedFormat  string     `yaml:"embed_format,omitempty"`
	HeadFormat   string     `yaml:"head_format,omitempty"`
	KeepF16      []string   `yaml:"keep_f16,omitempty"`
	Overrides    []override `yaml:"overrides,omitempty"` // the first that matches wins
	Rotate       bool       `yaml:"rotate,omitempty"`
	Sanitize     bool       `yaml:"sanitize,omitempty"`
	Saturate     bool       `yaml:"saturate,omitempty"`
	MaxShardSize string     `yaml:"max_shard_size,omitempty"`
}

// override is a format for matrices whose names match.
type override struct {
	Match     string `yaml:"match"`
	Format    string `yaml:"format"`
	BlockSize int    `yaml:"block_size,omitempty"`
}

// newPolicy returns what the file of --config says, with what flags say in its place. Patterns of
// flags come before those of the file.
func newPolicy(c *cli.Context) (*policy, error) {
	p := &policy{}
	if path := c.String("config"); path != "" {
		data, err := readFile(c, "config")
		if err != nil {
			return nil, err
		}
		if err := readYAML(data, p); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for name, s := range map[string]*string{
		"format": &p.Format, "method": &p.Method, "embed-format": &p.EmbedFormat, "head-format": &p.HeadFormat,
		"max-shard-size": &p.MaxShardSize,
	} {
		if c.IsSet(name) {
			*s = c.String(name)
		}
	}
	for name, b := range map[string]*bool{"rotate": &p.Rotate, "sanitize": &p.Sanitize, "saturate": &p.Saturate} {
		if c.IsSet(name) {
			*b = c.Bool(name)
		}
	}
	if c.IsSet("block-size") {
		p.BlockSize = c.Int("block-size")
	}
	p.Method = cmp.Or(p.Method, string(quant.Search))
	if p.Method == auto && c.String("write-config") != "" {
		return nil, usagef("quantize: --write-config records what does the same again, --method auto follows the machine: want --method search or gptq")
	}
	p.KeepF16 = append(slices.Clone(c.StringSlice("keep-f16")), p.KeepF16...)
	var first []override
	for _, text := range c.StringSlice("override") {
		o, err := parseOverride(text)
		if err != nil {
			return nil, err
		}
		first = append(first, o)
	}
	p.Overrides = append(first, p.Overrides...)
	p.Bits = c.Float64("bits")
	allocated(p)
	if p.Format == "" {
		return nil, usagef("quantize: --format is missing: int8, int4, int2 or f16 (int4 is a good choice for most models); see llama-webgpu quantize --help")
	}
	return p, nil
}

// write records the policy in a file, which must not be there unless forced.
func (p *policy) write(path string, force bool) (err error) {
	var text strings.Builder
	text.WriteString("# llama-webgpu quantize --config FILE does the same again.\n")
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(p), e.Close()); err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text.String())
	return err
}

// parseOverride reads REGEX=FORMAT[:BLOCK]; a regular expression may contain = and :.
func parseOverride(text string) (override, error) {
	at := strings.LastIndexByte(text, '=')
	if at < 0 {
		return override{}, usagef("--override %q: want REGEX=FORMAT or REGEX=FORMAT:BLOCK", text)
	}
	o := override{Match: text[:at]}
	var block string
	var sized bool
	if o.Format, block, sized = strings.Cut(text[at+1:], ":"); !sized {
		return o, nil
	}
	n, err := strconv.Atoi(block)
	if err != nil || n < 1 {
		return o, usagef("--override %q: block size %q: want 32, 64, 128 or 256", text, block)
	}
	o.BlockSize = n
	return o, nil
}

// options turns the policy into what the converter takes.
func (p *policy) options() (convert.Options, error) {
	o := convert.Options{
		Format: p.Format, Block: p.BlockSize, Method: quant.Method(p.Method), EmbedFormat: p.EmbedFormat, HeadFormat: p.HeadFormat,
		Fit: true, Bits: p.Bits, Rotate: p.Rotate, Sanitize: p.Sanitize, Saturate: p.Saturate,
	}
	for _, pattern := range p.KeepF16 {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return o, usagef("--keep-f16: %v", err)
		}
		o.KeepF16 = append(o.KeepF16, re)
	}
	for _, v := range p.Overrides {
		re, err := regexp.Compile(v.Match)
		if err != nil {
			return o, usagef("--override: %v", err)
		}
		o.Overrides = append(o.Overrides, convert.Override{Match: re, Format: v.Format, Block: v.BlockSize})
	}
	if p.Method == auto { // until the model is known
		o.Method = quant.Search
	}
	var err error
	o.MaxFile, err = parseSize("max-shard-size", p.MaxShardSize)
	return o, err
}

// parseSize reads a number of bytes as 2GB, 100MB, 1GiB or 4096; "" is 0.
func parseSize(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, usagef("--%s %s: want a size such as 2GB, 100MB or 1GiB", name, quoted(text))
	}
	return int64(n), nil
}
