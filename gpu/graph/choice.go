package graph

import (
	"fmt"
	"maps"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// MaxBatch is the most vectors that matvec takes at once, and so the most sequences that are fed a token
// each in one pass. More vectors are a matter for matmul.
const MaxBatch = 8

// Choice says which kernels a graph is made of. It is made before anything is recorded; the zero value
// leaves every choice to the defaults for the device.
type Choice struct {
	Tuning   Tuning              // constants that were found to be fast
	Variants map[Packing]Variant // kernels in place of matvec, by packing of the weights

	Batch bool // several vectors take matvec_batch even where the device is a CPU
	Split int  // cached positions that a workgroup of attention reads; 0: by the device
}

// Variant is a kernel that computes what matvec does, launched and bound alike, on devices that have what
// it needs.
type Variant struct {
	Kernel  string
	Without []string // constants of matvec that it does not have
}

// Shape is that of a product W·x: how W is packed, its rows and columns, and how many vectors x there are.
type Shape struct {
	Packing
	Rows, Width, Tokens int
}

// Class names the products that one choice is made for: one shape of matrix in one packing, and about as
// many tokens.
func (s Shape) Class() string {
	tokens := PowerOfTwo(s.Tokens)
	switch {
	case s.Tokens > 64:
		tokens = 512
	case s.Tokens > 16:
		tokens = 64
	}
	return fmt.Sprintf("%v %d×%d, %d tokens", s.Packing, s.Rows, s.Width, tokens)
}

// AttentionClass names the attention that one choice is made for.
func AttentionClass(at *model.Attention, tokens int) string {
	return fmt.Sprintf("%d heads of %d on %d, %d tokens", at.Heads, at.HeadDim, at.KVHeads, PowerOfTwo(tokens))
}

// KernelFor names the kernel that multiplies n vectors. A CPU gains nothing from inputs that threads share.
func KernelFor(cpu bool, n int) string {
	switch {
	case n > MaxBatch:
		return "matmul"
	case n > 2 && !cpu: // fewer gain less by it than it takes
		return "matvec_batch"
	}
	return "matvec"
}

// chooser decides by a Choice and what the device is.
type chooser struct {
	dev *gpu.Device
	Choice
}

// matvec returns what multiplies few vectors.
func (c *chooser) matvec(s Shape) Variant {
	if v := c.Variants[s.Packing]; v.Kernel != "" {
		return v
	}
	return Variant{Kernel: KernelFor(c.dev.OnCPU() && !c.Batch, s.Tokens)}
}

// tuned adds to consts the constants of a kernel for a product, and returns them: what was found by tuning, or
// else the vendor's preset, or else the defaults.
func (c *chooser) tuned(kernel string, s Shape, consts kernels.Consts, defaults Tuned) Tuned {
	use, ok := c.Tuning[TuningKey{kernel, s.Class()}]
	if !ok {
		use = defaults
		preset := TunableOf(kernel).Presets[strings.ToLower(c.dev.Info().Driver)]
		if preset != nil && possible(c.dev, kernel, s, consts, preset) == nil {
			use = preset
		}
	}
	for name, v := range use {
		consts[name] = v
	}
	return use
}

// Possible reports why a product cannot be computed by a kernel with some constants on the device.
func (k *Kit) Possible(kernel string, s Shape, with Tuned) error {
	c := s.consts()
	if kernel != "matmul" {
		c["TOKENS"] = PowerOfTwo(s.Tokens)
	}
	return possible(k.dev, kernel, s, c, with)
}

func possible(dev *gpu.Device, kernel string, s Shape, c kernels.Consts, with Tuned) error {
	if valid := TunableOf(kernel).valid; valid != nil && !valid(with, s) {
		return fmt.Errorf("kernel %s: %v does not go with %s", kernel, with, s.Class())
	}
	c = maps.Clone(c)
	for name, v := range with {
		c[name] = v
	}
	k, err := kernels.Specialize(kernel, c)
	if err != nil {
		return err
	}
	return dev.Fits(k)
}
