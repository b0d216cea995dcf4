package graph

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Tunable says which constants of a kernel can be tuned. To make another kernel tunable, add a row to tunables and call
// tuned where the kernel is recorded.
type Tunable struct {
	Kernel string
	Values []Constant
	// Presets are values known to be good on a vendor's devices, by AdapterInfo.Driver.
	Presets map[string]Tuned
	// valid reports whether the kernel computes a product correctly with c; whether the device has room for it
	// is checked elsewhere. nil: always.
	valid func(c Tuned, s Shape) bool
}

// Constant is a constant of a kernel and the values it may have.
type Constant struct {
	Name   string
	Values []int
}

var tunables = []Tunable{
	{
		Kernel: "matvec",
		Values: []Constant{{"ROWS", []int{2, 4, 8}}, {"LANES", []int{8, 16, 32, 64, 128, 256}}, {"STEP", []int{1, 2, 4, 8, 16}}},
		valid: func(c Tuned, s Shape) bool {
			return c["LANES"] >= c["ROWS"]*powerOfTwo(s.Tokens) && c["STEP"] <= 32/s.Bits
		},
	},
	{
		Kernel: "matvec_batch",
		Values: []Constant{{"ROWS", []int{2, 4, 8}}, {"ALONG", []int{8, 16, 32}}, {"LANES", []int{64, 128, 256}}, {"STEP", []int{1, 2, 4}}},
		valid: func(c Tuned, s Shape) bool {
			return powerOfTwo(s.Tokens) <= c["ALONG"] && c["ALONG"] <= c["LANES"]
		},
	},
	{
		Kernel: "matmul",
		Values: []Constant{
			{"TILE_TOKENS", []int{16, 32, 64, 128}},
			{"TILE_ROWS", []int{32, 64, 128}},
			{"TOKENS", []int{2, 4, 8, 16}},
			{"ROWS", []int{2, 4, 8, 16}},
			{"DEPTH", []int{2, 4, 8}},
		},
		valid: validTile,
		Presets: map[string]Tuned{
			"nvidia": {"TILE_TOKENS": 64, "TILE_ROWS": 128, "TOKENS": 8, "ROWS": 8, "DEPTH": 4},
			"intel":  {"TILE_TOKENS": 64, "TILE_ROWS": 64, "TOKENS": 8, "ROWS": 8, "DEPTH": 8},
			"apple":  {"TILE_TOKENS": 32, "TILE_ROWS": 128, "TOKENS": 4, "ROWS": 16, "DEPTH": 4},
			"amd":    {"TILE_TOKENS": 128, "TILE_ROWS": 64, "TOKENS": 16, "ROWS": 4, "DEPTH": 8},
		},
	},
	{
		Kernel: MatrixKernel,
		Values: []Constant{
			{"HIGH", []int{1, 2, 4}},
			{"WIDE", []int{1, 2, 4}},
			{"DOWN", []int{1, 2, 4}},
			{"ACROSS", []int{1, 2, 4}},
			{"BUFFERS", []int{1, 2}},
			{"DEPTH", []int{16, 32}},
		},
		valid: validMatrixTile,
	},
	{
		Kernel: FewKernel,
		Values: []Constant{{"HIGH", []int{1, 2, 4}}, {"ALONG", []int{1, 2, 4, 8}}, {"BUFFERS", []int{1, 2}}},
		valid:  func(c Tuned, s Shape) bool { return c["HIGH"]*((s.Tokens+panel-1)/panel) <= 16 },
	},
	{
		// SPLIT is not a constant of the kernel but how many cached positions form a part; 0: all of them.
		Kernel: "attention_split",
		Values: []Constant{{"LANES", []int{64, 128, 256}}, {"QUERIES", []int{1, 2, 3, 4}}, {"EACH", []int{2, 4, 8}}, {"SPLIT", []int{0, 32, 64, 128, 256, 512}}},
	},
}

// validTile: threads divide the tile among them, steps the columns, and a step is whole units of a row; no
// thread keeps more sums than GPUs have registers for.
func validTile(c Tuned, s Shape) bool {
	unit := (8 + s.Bits - 1) / s.Bits
	return c["TILE_TOKENS"]%c["TOKENS"] == 0 && c["TILE_ROWS"]%c["ROWS"] == 0 && c["ROWS"]*c["TOKENS"] <= 128 &&
		c["DEPTH"]%unit == 0 && s.Cols(s.Width)/4%c["DEPTH"] == 0
}

// TunableOf returns what of a kernel can be tuned, nil if nothing can.
func TunableOf(kernel string) *Tunable {
	i := slices.IndexFunc(tunables, func(t Tunable) bool { return t.Kernel == kernel })
	if i < 0 {
		return nil
	}
	return &tunables[i]
}

// Constants reads the tunable constants from a specialized kernel.
func (t *Tunable) Constants(k kernels.Kernel) Tuned {
	with := Tuned{}
	for _, v := range t.Values {
		with[v.Name], _ = k.Constant(v.Name) // setting a constant that the kernel lacks is an error elsewhere
	}
	return with
}
