package transformer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Tuned are values of the constants of a kernel that decide how fast it is, and not what it computes.
type Tuned map[string]int

// Tuning holds what was found to be fast on a device, by kernel and class.
type Tuning map[TuningKey]Tuned

// TuningKey names a kernel and the products that one choice is good for.
type TuningKey struct{ Kernel, Class string }

// tunable says what of a kernel can be tuned. To make another kernel tunable takes a row in tunables
// and a call of tuned where the kernel is recorded.
type tunable struct {
	kernel string
	values []choice
	// valid reports whether the kernel is right with c, for n tokens; that the device has room for it is
	// seen to elsewhere. nil: always.
	valid func(c Tuned, p *part, n int) bool
	// presets are starting points that others found good on a vendor's devices, by AdapterInfo.Driver.
	presets map[string]Tuned
}

// choice is a constant and the values it may have.
type choice struct {
	name   string
	values []int
}

var tunables = []tunable{
	{
		kernel: "matvec",
		values: []choice{{"ROWS", []int{2, 4, 8}}, {"LANES", []int{8, 16, 32, 64, 128, 256}}, {"STEP", []int{1, 2, 4, 8, 16}}},
		valid: func(c Tuned, p *part, n int) bool {
			return c["LANES"] >= c["ROWS"]*powerOfTwo(n) && c["STEP"] <= 32/p.bits
		},
	},
	{
		kernel: "matvec_batch",
		values: []choice{{"ROWS", []int{2, 4, 8}}, {"ALONG", []int{8, 16, 32}}, {"LANES", []int{64, 128, 256}}, {"STEP", []int{1, 2, 4}}},
		valid: func(c Tuned, _ *part, n int) bool {
			return powerOfTwo(n) <= c["ALONG"] && c["ALONG"] <= c["LANES"]
		},
	},
	{
		kernel: "matmul",
		values: []choice{
			{"TILE_TOKENS", []int{16, 32, 64, 128}},
			{"TILE_ROWS", []int{32, 64, 128}},
			{"TOKENS", []int{2, 4, 8, 16}},
			{"ROWS", []int{2, 4, 8, 16}},
			{"DEPTH", []int{2, 4, 8}},
		},
		valid: validTile,
		presets: map[string]Tuned{
			"nvidia": {"TILE_TOKENS": 64, "TILE_ROWS": 128, "TOKENS": 8, "ROWS": 8, "DEPTH": 4},
			"intel":  {"TILE_TOKENS": 64, "TILE_ROWS": 64, "TOKENS": 8, "ROWS": 8, "DEPTH": 8},
			"apple":  {"TILE_TOKENS": 32, "TILE_ROWS": 128, "TOKENS": 4, "ROWS": 16, "DEPTH": 4},
			"amd":    {"TILE_TOKENS": 128, "TILE_ROWS": 64, "TOKENS": 16, "ROWS": 4, "DEPTH": 8},
		},
	},
	{
		// SPLIT is no constant of the kernel: so many positions are a part of the cache, or all if it is 0.
		kernel: "attention_split",
		values: []choice{{"LANES", []int{64, 128, 256}}, {"QUERIES", []int{1, 2, 3, 4}}, {"EACH", []int{2, 4, 8}}, {"SPLIT", []int{0, 32, 64, 128, 256, 512}}},
	},
}

// validTile: threads divide the tile among them, steps the columns, and a step is whole units of a row; no
// thread keeps more sums than GPUs have registers for.
func validTile(c Tuned, p *part, _ int) bool {
	unit := (8 + p.bits - 1) / p.bits
	return c["TILE_TOKENS"]%c["TOKENS"] == 0 && c["TILE_ROWS"]%c["ROWS"] == 0 && c["ROWS"]*c["TOKENS"] <= 128 &&
		c["DEPTH"]%unit == 0 && p.cols(p.width)/4%c["DEPTH"] == 0
}

// tunableOf returns the row of a kernel.
func tunableOf(kernel string) *tunable {
	i := slices.IndexFunc(tunables, func(t tunable) bool { return t.kernel == kernel })
	return &tunables[i]
}

// classOf names the products that one choice is made for: one shape of matrix in one packing, and about
// as many tokens.
func classOf(p *part, n int) string {
	tokens := powerOfTwo(n)
	switch {
	case n > 64:
		tokens = 512
	case n > 16:
		tokens = 64
	}
	return fmt.Sprintf("%v %d×%d, %d tokens", p.scheme, p.rows, p.width, tokens)
}

// tuned adds to c the constants of a kernel for n tokens, and returns them: what was found by tuning, or
// else the vendor's preset, or else the defaults.
func (t *Transformer) tuned(kernel string, p *part, n int, c kernels.Consts, defaults Tuned) Tuned {
	use, ok := t.opts.Tuning[TuningKey{kernel, classOf(p, n)}]
	if !ok {
		use = defaults
		if preset := tunableOf(kernel).presets[strings.ToLower(t.dev.Info().Driver)]; preset != nil && t.possible(kernel, p, n, c, preset) == nil {
			use = preset
		}
	}
	for name, v := range use {
		c[name] = v
	}
	return use
}

// possible reports why a kernel cannot be had with some constants.
func (t *Transformer) possible(kernel string, p *part, n int, c kernels.Consts, with Tuned) error {
	if valid := tunableOf(kernel).valid; valid != nil && !valid(with, p, n) {
		return fmt.Errorf("kernel %s: %v does not go with %s", kernel, with, classOf(p, n))
	}
	c = maps.Clone(c)
	for name, v := range with {
		c[name] = v
	}
	k, err := kernels.Specialize(kernel, c)
	if err != nil {
		return err
	}
	return t.dev.Fits(k)
}

// Check reports what of a Tuning the kernels do not know: another kernel, constant or value.
func (u Tuning) Check() error {
	for key, c := range u {
		i := slices.IndexFunc(tunables, func(t tunable) bool { return t.kernel == key.Kernel })
		if i < 0 {
			return fmt.Errorf("kernel %q cannot be tuned", key.Kernel)
		}
		if len(c) != len(tunables[i].values) {
			return fmt.Errorf("kernel %s has %d constants to be tuned, not %v", key.Kernel, len(tunables[i].values), c)
		}
		for _, v := range tunables[i].values {
			if got, ok := c[v.name]; !ok || !slices.Contains(v.values, got) {
				return fmt.Errorf("kernel %s: %v: want %s to be one of %v", key.Kernel, c, v.name, v.values)
			}
		}
	}
	return nil
}

// TunableKernels names the kernels that can be tuned.
func TunableKernels() []string {
	var names []string
	for _, t := range tunables {
		names = append(names, t.kernel)
	}
	return names
}

// String lists the constants by name.
func (c Tuned) String() string {
	var s string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		s += fmt.Sprintf(" %s=%d", name, c[name])
	}
	return s[min(1, len(s)):]
}
