package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

var calibrationFlags = []cli.Flag{
	&cli.StringFlag{Name: "calibration", Usage: "`FILE`: for --method gptq, a text of the kind that the model will read and write", DefaultText: "a general one", Category: "Encoding"},
	&cli.StringFlag{Name: "calibration-chat", Value: "auto", Usage: "read the text as conversations, in the model's chat template: on, off, or auto, which does so with the general text", Category: "Encoding"},
	&cli.IntFlag{Name: "calibration-windows", Value: 128, Usage: "read at most `N` windows of the text, spread over it", Category: "Encoding"},
	&cli.IntFlag{Name: "calibration-tokens", Value: 512, Usage: "a window has `N` tokens", Category: "Encoding"},
	&cli.Float64Flag{Name: "calibration-minutes", Value: 10, Usage: "for --method auto without a GPU: calibrate if that takes at most `N` minutes, with less text if need be", Category: "Encoding"},
	&cli.Float64Flag{Name: "correction", Value: 0.5, Usage: "`SHARE`: for --method gptq, how much of the earlier layers' errors each matrix makes up for; 0: nothing, which takes half the time", Category: "Encoding"},
	&cli.BoolFlag{Name: "no-refinement", Usage: "for --method gptq: skip the refinement of scales, codes and zero-points after rounding, which is faster and worse", Category: "Encoding"},
	&cli.StringFlag{Name: "sensitivity", Usage: "for --bits: read from `FILE` (JSON) what each matrix costs the model, and add what had to be measured; the file can be used with any --bits for the same checkpoint and calibration text", Category: "Encoding"},
	&cli.StringFlag{Name: "device", Usage: "`DEVICE`: for --method gptq, where the calibration text is run: gpu or cpu", DefaultText: "gpu, if there is a real one", Category: "Encoding"},
	adapterFlag("Encoding", "for --method gptq, the "),
	engineFlag("Encoding"),
	libraryFlag("Encoding"),
}

// quantizeOptions reads the flags. It writes the file of --write-config, too, unless the policy is yet to be completed
// by --bits.
func quantizeOptions(c *cli.Context) (auto.Options, error) {
	p, err := newPolicy(c)
	if err != nil {
		return auto.Options{}, err
	}
	o := auto.Options{
		Policy: *p, Generator: "llama-webgpu " + version, Threads: c.Int("threads"), Force: c.Bool("force"), Strict: c.Bool("strict"),
		Log: slog.Default(), Adapters: adapters(c), Warn: func(text string) { warn(c, text) },
	}
	if err := cmp.Or(leftovers(c, &o), checkCalibration(c, p), wrongOption(o.Check())); err != nil {
		return o, err
	}
	if o.Edits, err = ropeEdits(c); err != nil {
		return o, err
	}
	if o.Calibration, err = calibration(c); err != nil {
		return o, err
	}
	return o, keepPolicy(c, &o)
}

// warn prints a warning to standard error.
func warn(c *cli.Context, text string) {
	if !c.Bool(quietFlag.Name) {
		fmt.Fprintln(os.Stderr, "warning: "+text)
	}
}

// leftovers reads what is to become of what an interrupted run left.
func leftovers(c *cli.Context, o *auto.Options) error {
	switch resume, discard := c.Bool("resume"), c.Bool("discard"); {
	case resume && discard:
		return cmdline.Usagef("quantize: want --resume or --discard, not both")
	case resume:
		o.Stale = outdir.Resume
	case discard:
		o.Stale = outdir.Discard
	}
	return nil
}

// checkCalibration reports flags that do not go together.
func checkCalibration(c *cli.Context, p *auto.Policy) error {
	gptq := p.Method == string(convert.GPTQ)
	switch {
	case c.IsSet("device") && cmdline.OneOf(c, "device", "gpu", "cpu") != nil:
		return cmdline.OneOf(c, "device", "gpu", "cpu")
	case p.Bits > 0 && !gptq:
		return cmdline.Usagef("quantize: --bits needs --method gptq")
	case p.Bits > 0 && c.Bool("dry-run"):
		return cmdline.Usagef("quantize: what --bits chooses is not known without a run: --dry-run takes the file of --write-config of one")
	case c.String("sensitivity") != "" && p.Bits == 0:
		return cmdline.Usagef("quantize: --sensitivity is for --bits")
	case gptq && p.Format == string(bundle.F16) && len(p.Overrides) == 0:
		return cmdline.Usagef("quantize: --format f16 keeps the values: --method gptq has nothing to fit")
	case c.IsSet("calibration-minutes") && p.Method != auto.Auto:
		return cmdline.Usagef("quantize: --calibration-minutes is for --method auto")
	case c.IsSet("context") && !c.Bool("dry-run"):
		return cmdline.Usagef("quantize: --context is for --dry-run")
	case gptq || p.Method == auto.Auto:
		return nil
	}
	for _, name := range []string{"calibration", "calibration-chat", "calibration-windows", "calibration-tokens", "correction", "no-refinement", "device", "adapter"} {
		if c.IsSet(name) {
			return cmdline.Usagef("quantize: --%s is for --method gptq", name)
		}
	}
	return nil
}

// calibration reads the flags of calibration.
func calibration(c *cli.Context) (k auto.Calibration, err error) {
	k = auto.Calibration{
		Chat: c.String("calibration-chat"), Minutes: c.Float64("calibration-minutes"), Windows: c.Int("calibration-windows"), Tokens: c.Int("calibration-tokens"), Correction: c.Float64("correction"),
		Unrefined: c.Bool("no-refinement"), Sensitivity: c.String("sensitivity"), Device: c.String("device"), GPU: selected(c),
	}
	if k.Windows == 0 {
		k.Windows = -1 // all
	}
	if k.Correction == 0 {
		k.Correction = -1 // none
	}
	k.Text, err = cmdline.ReadSome(c, "calibration")
	return k, err
}

// keepPolicy writes the file of --write-config: at once, or with --bits when all is chosen.
func keepPolicy(c *cli.Context, o *auto.Options) error {
	path, force := c.String("write-config"), o.Force
	switch {
	case path == "":
		return nil
	case o.Bits == 0:
		return writePolicy(path, o.Policy, force)
	case !force && source.Exists(filepath.Dir(path), filepath.Base(path)):
		return errPolicyExists(path)
	}
	o.Settled = func(p auto.Policy) error { return writePolicy(path, p, force) }
	return nil
}

// newPolicy returns what the file of --config says, with what flags say in its place. Patterns of
// flags come before those of the file.
func newPolicy(c *cli.Context) (*auto.Policy, error) {
	p := &auto.Policy{}
	if path := c.String("config"); path != "" {
		data, err := cmdline.ReadFile(c, "config")
		if err != nil {
			return nil, err
		}
		if err := cmdline.ReadYAML(data, p); err != nil {
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
	if err := addPatterns(c, p); err != nil {
		return nil, err
	}
	p.Bits = c.Float64("bits")
	*p = p.WithDefaults()
	switch {
	case p.Method == auto.Auto && c.String("write-config") != "":
		return nil, cmdline.Usagef("quantize: --write-config records what does the same again, --method auto follows the machine: want --method search or gptq")
	case p.Format == "":
		return nil, cmdline.Usagef("quantize: --format is missing: int8, int4, int2 or f16 (int4 is a good choice for most models); see llama-webgpu quantize --help")
	}
	return p, nil
}

// addPatterns puts the patterns of flags before those of the policy.
func addPatterns(c *cli.Context, p *auto.Policy) error {
	p.KeepF16 = append(slices.Clone(c.StringSlice("keep-f16")), p.KeepF16...)
	var first []auto.Override
	for _, text := range c.StringSlice("override") {
		o, err := parseOverride(text)
		if err != nil {
			return err
		}
		first = append(first, o)
	}
	p.Overrides = append(first, p.Overrides...)
	return nil
}

func errPolicyExists(path string) error {
	return fmt.Errorf("--write-config %s: %w: --force replaces it, and the bundle", cmdline.Quoted(path), fs.ErrExist)
}

// writePolicy records the policy in a file, which must not be there unless forced.
func writePolicy(path string, p auto.Policy, force bool) error {
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
	switch {
	case errors.Is(err, fs.ErrExist):
		return errPolicyExists(path)
	case err != nil:
		return err
	}
	return cmdline.Complete(f, []byte(text.String()))
}

// parseOverride reads REGEX=FORMAT[:BLOCK]; a regular expression may contain = and :.
func parseOverride(text string) (auto.Override, error) {
	at := strings.LastIndexByte(text, '=')
	if at < 0 {
		return auto.Override{}, cmdline.Usagef("--override %q: want REGEX=FORMAT or REGEX=FORMAT:BLOCK", text)
	}
	o := auto.Override{Match: text[:at]}
	var block string
	var sized bool
	if o.Format, block, sized = strings.Cut(text[at+1:], ":"); !sized {
		return o, nil
	}
	n, err := strconv.Atoi(block)
	if err != nil || n < 1 {
		return o, cmdline.Usagef("--override %q: block size %q: want 32, 64, 128 or 256", text, block)
	}
	o.BlockSize = n
	return o, nil
}
