package transformer

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// standIn is a kernel that computes what matvec does, launched and bound alike, on devices that have what it needs.
type standIn struct {
	kernel  string
	takes   func(s scheme) bool
	without []string // constants of matvec that it does not have
	// loss is how far outputs may be from matvec's, relative RMS, for normal activations: 1e-5 where only
	// the order of float32 sums differs. dot4 loses up to half a unit an activation, 1/16319 of the largest
	// one of 16 to 64, so 4e-5 of a usual one.
	loss float64
}

var standIns = []standIn{
	{"matvec_subgroups", func(scheme) bool { return true }, nil, 1e-5},
	{"matvec_dot4", func(s scheme) bool { return s.bits <= 8 }, []string{"STEP"}, 1e-4},
	{"matvec_f16", func(s scheme) bool { return s.bits == 16 }, []string{"BLOCK", "STEP"}, 1e-5},
}

// What Kernels may be asked for besides "subgroups", "dot4" and "f16".
const (
	KernelsAuto     = "auto"     // what is right and fastest on this device
	KernelsBaseline = "baseline" // what every device runs
)

// Kernels says which kernels run on a device in place of the baseline's. It tries those that the device has the
// features for, each once for a packing of weights, on random data: one is chosen if its results are those of the
// baseline, up to rounding, and it is faster.
type Kernels struct {
	dev    *gpu.Device
	want   string
	chosen map[scheme]string
	trials []Trial
}

// Trial is how one kernel did.
type Trial struct {
	Kernel      string
	Packing     string  // of the weights: "int4/128"
	RelativeRMS float64 // of the differences from the baseline's results
	Speed       float64 // how many times as fast as the baseline
	Chosen      bool
	Err         string // why it could not be tried
}

// leastGain is how much faster a kernel has to be: less may be chance.
const leastGain = 1.05

// NewKernels returns the choice for a device: KernelsAuto, KernelsBaseline, or the stand-ins of one name,
// whether they are faster or not. Those must be there, and right.
func NewKernels(dev *gpu.Device, want string) (*Kernels, error) {
	k := &Kernels{dev: dev, want: cmp.Or(want, KernelsAuto), chosen: map[scheme]string{}}
	if k.want == KernelsAuto || k.want == KernelsBaseline {
		return k, nil
	}
	i := slices.IndexFunc(standIns, func(s standIn) bool { return s.kernel == "matvec_"+k.want })
	if i < 0 {
		return nil, fmt.Errorf("kernels %q: want auto, baseline, subgroups, dot4 or f16", want)
	}
	kernel, err := kernels.Specialize(standIns[i].kernel, nil)
	if err == nil && !dev.Features().Runs(kernel) {
		err = fmt.Errorf("kernels %q: this device does not have what they need: %s", want, strings.Join(kernel.Needs, ", "))
	}
	return k, err
}

// Trials returns how the kernels did that were tried so far.
func (k *Kernels) Trials() []Trial {
	if k == nil {
		return nil
	}
	return k.trials
}

// matvec names the kernel for weights of a packing.
func (k *Kernels) matvec(s scheme) string {
	if k == nil || k.chosen[s] == "" {
		return "matvec"
	}
	return k.chosen[s]
}

// standsIn takes the constants of matvec out of c that a kernel does not have.
func standsIn(kernel string, c kernels.Consts) {
	for _, i := range standIns {
		if i.kernel == kernel {
			for _, name := range i.without {
				delete(c, name)
			}
		}
	}
}

// try makes the choice for the packings that a model mostly consists of.
func (k *Kernels) try(ctx context.Context, w *weights) error {
	if k == nil || k.want == KernelsBaseline {
		return nil
	}
	bytes, all := map[scheme]uint64{}, uint64(0)
	for _, m := range w.matrices {
		for _, p := range m.parts {
			bytes[p.scheme] += p.bytes()
			all += p.bytes()
		}
	}
	for s, n := range bytes {
		if _, done := k.chosen[s]; done || n < all/8 {
			continue
		}
		if err := k.choose(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// choose tries the stand-ins for one packing.
func (k *Kernels) choose(ctx context.Context, s scheme) error {
	k.chosen[s] = ""
	list, err := k.candidates(s)
	if err != nil || len(list) == 0 {
		return err
	}
	forced := k.want != KernelsAuto
	ground, groundErr := newTrialGround(ctx, k.dev, s)
	defer ground.close()
	best, from := leastGain, len(k.trials)
	for _, i := range list {
		t, err := Trial{Kernel: i.kernel, Packing: s.String()}, groundErr
		if err == nil {
			t.RelativeRMS, t.Speed, err = ground.compare(i.kernel)
		}
		right := t.RelativeRMS <= i.loss // not so if it is NaN
		switch {
		case err != nil && (forced || ctx.Err() != nil || errors.Is(err, gpu.ErrDeviceLost)):
			return fmt.Errorf("trying kernel %s: %w", i.kernel, err)
		case err != nil:
			t.Err = err.Error()
		case !right && forced:
			return fmt.Errorf("kernel %s is wrong on this device: off by a relative RMS of %.2g, allowed %.2g", i.kernel, t.RelativeRMS, i.loss)
		case right && (t.Speed >= best || forced):
			best = t.Speed
			k.chosen[s] = i.kernel
		}
		k.trials = append(k.trials, t)
	}
	for i := range k.trials[from:] {
		t := &k.trials[from+i]
		t.Chosen = t.Kernel == k.chosen[s]
	}
	return nil
}

// candidates returns the stand-ins that the device can run for a packing, and that are wanted.
func (k *Kernels) candidates(s scheme) ([]standIn, error) {
	var list []standIn
	for _, i := range standIns {
		kernel, err := kernels.Specialize(i.kernel, nil)
		if err != nil {
			return nil, err
		}
		if i.takes(s) && k.dev.Features().Runs(kernel) && (k.want == KernelsAuto || "matvec_"+k.want == i.kernel) {
			list = append(list, i)
		}
	}
	return list, nil
}

// trialGround is a matrix of random weights that kernels are compared on.
type trialGround struct {
	ctx      context.Context
	t        Transformer // makes buffers and records
	s        scheme
	p        *part
	x, y     *gpu.Buffer
	norm     *vector
	rounds   int // dispatches that are timed together
	baseline []float32
}

// trialBytes is about what the weights of a trial take; a CPU takes long enough for less.
const trialBytes, trialBytesCPU = 8 << 20, 128 << 10

// newTrialGround makes one, and has matvec compute what the others are held to. Close it, even after an error.
func newTrialGround(ctx context.Context, dev *gpu.Device, s scheme) (*trialGround, error) {
	width, bytes := 4096, trialBytes
	if dev.OnCPU() {
		width, bytes = 2048, trialBytesCPU
	}
	rows := bytes / s.codeBytes(width) / 8 * 8
	b := &trialGround{ctx: ctx, s: s, p: &part{scheme: s, width: width, rows: rows}, rounds: 1}
	b.t = Transformer{dev: dev, run: dev.Run, groups: map[string]*gpu.BindGroup{}, costs: map[*gpu.Program][]cost{}}
	b.t.act.aheadStride = stride(rows) + stride(rows/2)
	err := b.fill(rand.New(rand.NewPCG(1, 2)))
	if err == nil {
		b.baseline, err = b.results("")
	}
	for err == nil { // as many rounds as take long enough to be measured
		var took time.Duration
		if took, err = b.time(""); took >= 15*time.Millisecond || b.rounds >= 512 {
			break
		}
		b.rounds *= 2
	}
	return b, err
}

func (b *trialGround) close() { b.t.Close() }

// fill makes weights, activations with a sum of squares for each four of them behind, and a norm.
func (b *trialGround) fill(rng *rand.Rand) error {
	p := b.p
	x, g := make([]float32, stride(p.width), stride(p.width)+p.width/4), make([]float32, max(p.width, p.rows))
	for i := range p.width {
		x[i] = float32(rng.NormFloat64())
	}
	for i := 0; i < p.width; i += 4 {
		x = append(x, x[i]*x[i]+x[i+1]*x[i+1]+x[i+2]*x[i+2]+x[i+3]*x[i+3])
	}
	for i := range g {
		g[i] = float32(1 + 0.1*rng.NormFloat64())
	}
	b.norm = &vector{n: len(g)}
	for _, c := range []struct {
		to   **gpu.Buffer
		data []byte
	}{
		{&p.codes, randomCodes(rng, b.s, p.rows*p.codeBytes(p.width))},
		{&p.heads, randomHeads(rng, b.s, p.rows*p.headBytes(p.width))},
		{&b.x, floatBytes(x)},
		{&b.norm.buffer, floatBytes(g)},
		{&b.y, make([]byte, 4*stride(p.rows))},
		{&b.t.act.ahead, make([]byte, 4*b.t.act.aheadStride)},
		{&b.t.none, make([]byte, 256)},
		{&b.t.sink, make([]byte, 256)},
	} {
		buffer, err := b.t.buffer("trial", max(4, len(c.data)), gpu.Storage)
		if err != nil {
			return err
		}
		if err := buffer.Write(0, c.data); err != nil {
			return err
		}
		*c.to = buffer
	}
	return nil
}

// randomCodes returns n bytes of codes, or of floats of small spread.
func randomCodes(rng *rand.Rand, s scheme, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		switch s.bits {
		case 32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(rng.NormFloat64()/64)))
		case 16:
			b = binary.LittleEndian.AppendUint16(b, block.Float16(float32(rng.NormFloat64()/64)))
		default:
			b = binary.LittleEndian.AppendUint32(b, rng.Uint32())
		}
	}
	return b
}

// randomHeads returns n bytes of scales, and of zero-points about the middle of the codes.
func randomHeads(rng *rand.Rand, s scheme, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		zero := 1<<(s.bits-1) + rng.IntN(5) - 2
		scale := block.Float16(float32((1 + rng.Float64()) / 64 / math.Exp2(float64(s.bits))))
		b = binary.LittleEndian.AppendUint32(b, uint32(zero)<<16|uint32(scale))
	}
	return b
}

// record returns n dispatches of a kernel, "" for the baseline's.
func (b *trialGround) record(kernel string, squares int, e epilogue, n int) (*gpu.Program, error) {
	b.t.opts.Kernels = &Kernels{chosen: map[scheme]string{b.s: kernel}}
	r := recorder{t: &b.t, n: 1, p: new(gpu.Program)}
	x, y := vectors{buffer: b.x, stride: stride(b.p.width), squares: squares}, vectors{buffer: b.y, stride: stride(b.p.rows)}
	e.scale = 1
	sizes, err := b.t.shape(shape{
		cols: b.p.cols(b.p.width), rows: b.p.rows, xStride: x.stride, yStride: y.stride, epilogue: e,
		width: b.p.width, eps: 1e-5, squares: squares, nextStride: b.t.act.aheadStride,
	})
	if err != nil {
		return nil, err
	}
	for range n {
		r.matvec(b.p, b.s.consts(), nil, x, y, e, sizes, true)
	}
	return r.p, r.err
}

// results returns what a kernel computes: a product, one of a normalized vector with an activation, and
// the product again, prepared for a norm.
func (b *trialGround) results(kernel string) ([]float32, error) {
	var all, some []float32
	each := (&recorder{t: &b.t, n: 1}).matvecDefaults(b.p)["ROWS"] // rows of a workgroup
	for _, run := range []struct {
		squares int
		e       epilogue
		from    *gpu.Buffer
		n       int
	}{
		{0, epilogue{}, b.y, b.p.rows},
		{b.p.width / 4, epilogue{gate: &gate{1, 0}}, b.y, b.p.rows / 2},
		{0, epilogue{next: b.norm}, b.t.act.ahead, stride(b.p.rows) + b.p.rows/each},
	} {
		p, err := b.record(kernel, run.squares, run.e, 1)
		if err == nil {
			err = b.t.dev.Run(p)
		}
		if err == nil {
			err = b.t.read(b.ctx, run.from, run.n, &some)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// time runs a kernel as often as there are rounds.
func (b *trialGround) time(kernel string) (time.Duration, error) {
	p, err := b.record(kernel, 0, epilogue{}, b.rounds)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := b.t.dev.Run(p); err != nil {
		return 0, err
	}
	if err := b.t.dev.Wait(b.ctx); err != nil {
		return 0, err
	}
	return time.Since(begun), nil
}

// compare returns how far off a kernel's results are from the baseline's, and how many times as fast it is: the
// best of three runs each, by turns.
func (b *trialGround) compare(kernel string) (off, speed float64, err error) {
	got, err := b.results(kernel)
	if err != nil {
		return 0, 0, err
	}
	least := map[string]time.Duration{}
	for range 3 {
		for _, name := range []string{"", kernel} {
			took, err := b.time(name)
			if err != nil {
				return 0, 0, err
			}
			if least[name] == 0 || took < least[name] {
				least[name] = took
			}
		}
	}
	return relativeRMS(got, b.baseline), float64(least[""]) / float64(least[kernel]), nil
}

// relativeRMS is that of the differences, against that of want; NaN if any is.
func relativeRMS(got, want []float32) float64 {
	var d, p float64
	for i, w := range want {
		d += (float64(got[i]) - float64(w)) * (float64(got[i]) - float64(w))
		p += float64(w) * float64(w)
	}
	return math.Sqrt(d / p)
}
