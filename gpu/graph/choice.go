package graph

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

const (
	FewTokens = 8  // how many vectors matvec multiplies at most: more take matmul, or as limbs several workgroups
	MaxBatch  = 64 // how many sequences can be fed one token each in a pass
)

// Choice says which kernels a graph is made of, and with which constants. It is made before anything is recorded. The
// zero value means the defaults for the device.
type Choice struct {
	Tuning   Tuning              // constants that tuning found to be fast
	Variants map[Packing]Variant // kernels in place of matvec, by packing of the weights
	Matrices map[Packing]bool    // packings of which many vectors are multiplied by subgroup matrices
	Int8     map[Packing]bool    // … and a few vectors by such of int8

	// Subgroup is how many threads a subgroup has at least, if attention is to rely on subgroups; 0: it is not.
	Subgroup int

	Batch bool // use matvec_batch for several vectors even if the device is a CPU
	Split int  // cached positions that a workgroup of attention reads; 0: depends on the device
}

// Variant is a kernel that can replace matvec: it computes the same and has the same bindings and launch. It may need
// a feature that not every device has.
type Variant struct {
	Kernel  string
	Without []string // constants of matvec that it does not have
}

// LimbsKernel names the variant whose inputs are limbs (two bytes for each activation), and whose weights are stored in order.
const LimbsKernel = "matvec_dot4"

// limbs reports whether the kernel takes its inputs as limbs.
func (v Variant) limbs() bool { return v.Kernel == LimbsKernel }

// Shape describes a product W·x: how W is packed, its rows and columns, and how many vectors x there are.
type Shape struct {
	Packing
	Rows, Width, Tokens int
}

// Class names the products that share one choice of constants: those with matrices of one shape and packing, and with
// about the same number of tokens.
func (s Shape) Class() string {
	tokens := powerOfTwo(s.Tokens)
	switch {
	case s.Tokens > 64:
		tokens = 512
	case s.Tokens > 16:
		tokens = 64
	}
	return fmt.Sprintf("%v %d×%d, %d tokens", s.Packing, s.Rows, s.Width, tokens)
}

// AttentionClass names the kind of attention that shares one choice of constants.
func AttentionClass(at *model.Attention, tokens int) string {
	return fmt.Sprintf("%d heads of %d on %d, %d tokens", at.Heads, at.HeadDim, at.KVHeads, powerOfTwo(tokens))
}

// KernelFor names the kernel that multiplies n vectors. A CPU gains nothing from inputs that threads share.
func KernelFor(cpu bool, n int) string {
	switch {
	case n > FewTokens:
		return "matmul"
	case n > 2 && !cpu: // fewer gain less by it than it takes
		return "matvec_batch"
	}
	return "matvec"
}

// Grouped reports whether products of n vectors are made in groups of FewTokens where there are no kernels for more.
func Grouped(cpu bool, n int) bool { return !cpu && n > FewTokens && n <= MaxBatch }

// chooser decides which kernel and constants to record, from a Choice and the properties of the device.
type chooser struct {
	dev *gpu.Device
	Choice
	known map[string]error // what unfit returned, by Consts.Key: to specialize a kernel takes longer than to record a product
}

func newChooser(dev *gpu.Device, c Choice) chooser { return chooser{dev, c, map[string]error{}} }

// matvec returns what multiplies few vectors that are floats.
func (c *chooser) matvec(s Shape) Variant {
	if v := c.Variants[s.Packing]; v.Kernel != "" && !v.limbs() {
		return v
	}
	return Variant{Kernel: KernelFor(c.dev.OnCPU() && !c.Batch, s.Tokens)}
}

// tuned adds a kernel's constants for a product to consts, and returns them: those found by tuning, else the vendor's
// preset, else the defaults. What does not go with the product, or has no room on the device, is passed over: a file of
// tuning may say anything.
func (c *chooser) tuned(kernel string, s Shape, consts kernels.Consts, defaults Tuned) Tuned {
	goes := func(with Tuned) bool { return with != nil && c.possible(kernel, s, consts, with) == nil }
	use := c.Tuning[TuningKey{kernel, s.Class()}]
	if !goes(use) {
		use = TunableOf(kernel).Presets[strings.ToLower(c.dev.Info().Driver)]
		if !goes(use) {
			use = defaults
		}
	}
	use.add(consts)
	return use
}

// Possible returns an error if a kernel with these constants cannot compute a product on the device.
func (k *Kit) Possible(kernel string, s Shape, with Tuned) error {
	c := s.consts()
	if kernel != "matmul" && kernel != MatrixKernel && kernel != FewKernel {
		c["TOKENS"] = powerOfTwo(s.Tokens)
	}
	return k.choose.possible(kernel, s, c, with)
}

var errUnfit = errors.New("these constants do not go with this shape")

func (c *chooser) possible(kernel string, s Shape, consts kernels.Consts, with Tuned) error {
	if valid := TunableOf(kernel).valid; valid != nil && !valid(with, s) {
		return errUnfit
	}
	return c.unfit(kernel, consts, with)
}

// unfit returns an error if a kernel with these constants cannot be made, or if the device has no room for it.
func (c *chooser) unfit(kernel string, consts kernels.Consts, with Tuned) error {
	consts = maps.Clone(consts)
	with.add(consts)
	key := consts.Key(kernel)
	err, known := c.known[key]
	if !known {
		var k kernels.Kernel
		if k, err = kernels.Specialize(kernel, consts); err == nil {
			err = c.dev.Fits(k)
		}
		c.known[key] = err
	}
	return err
}
