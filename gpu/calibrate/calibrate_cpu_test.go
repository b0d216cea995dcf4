package calibrate

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/quant"
	cpu "github.com/llama-webgpu/llama-webgpu/quant/calibrate"
)

// TestCalibratorsAgree compares the sums of the two calibrators, on the device and on the CPU, for every matrix of
// models of all kinds, and for each expert of mixtures.
func TestCalibratorsAgree(t *testing.T) {
	dev := gputest.Open(t)
	for name, edit := range modeltest.Specs {
		t.Run(name, func(t *testing.T) {
			spec := modeltest.PlainSpec()
			edit(&spec)
			compareCalibrators(t, dev, modeltest.New(t, spec, modeltest.Floats(32)), modeltest.New(t, spec, modeltest.Blocks(2, 32)))
		})
	}
	for name, m := range mixtures {
		t.Run(name, func(t *testing.T) {
			compareCalibrators(t, dev, mixture(t, m, modeltest.Floats(32)), mixture(t, m, modeltest.Blocks(2, 32)))
		})
	}
}

// compareCalibrators hands over the matrices of coarse, one after the other.
func compareCalibrators(t *testing.T, dev *gpu.Device, full, coarse *modeltest.Model) {
	windows := twoWindows(full)
	onGPU, err := New(t.Context(), dev, full, windows, true)
	if err != nil {
		t.Fatal(err)
	}
	compareWithCPU(t, onGPU, full, coarse, windows)
}

// twoWindows are texts none of whose tokens is on the brink between two experts.
func twoWindows(m *modeltest.Model) [][]int32 {
	return [][]int32{modeltest.Tokens(95, m.Described.Vocab)[70:], modeltest.Tokens(47, m.Described.Vocab)[30:]}
}

// TestSharedInFiles keeps what layers read beside the residual stream in files.
func TestSharedInFiles(t *testing.T) {
	dev := gputest.Open(t)
	spec := modeltest.PlainSpec()
	modeltest.Specs["keys and values of earlier layers, inputs of layers"](&spec)
	full := modeltest.New(t, spec, modeltest.Floats(32))
	windows := twoWindows(full)
	k := newKeeper(dev, spec.Hidden, spec.Hidden, 2, windows)
	k.files = true
	onGPU, err := newCalibrator(full, k, true)
	if err != nil {
		t.Fatal(err)
	}
	compareWithCPU(t, onGPU, full, modeltest.New(t, spec, modeltest.Blocks(2, 32)), windows)
}

// compareWithCPU compares a calibrator, which it closes, with that on the CPU.
func compareWithCPU(t *testing.T, onGPU *Calibrator, full, coarse *modeltest.Model, windows [][]int32) {
	defer onGPU.Close()
	onCPU, err := cpu.New(full, windows, true)
	if err != nil {
		t.Fatal(err)
	}
	defer onCPU.Close()
	for i, tensor := range full.Listed {
		if tensor.Layer != model.NoLayer && tensor.Quantizable() {
			experts := 0
			if len(tensor.Shape) == 3 {
				experts = tensor.Shape[0]
			}
			for e := range experts {
				a, errA := onGPU.ExpertSums(t.Context(), i, e)
				b, errB := onCPU.ExpertSums(t.Context(), i, e)
				if errA != nil || errB != nil {
					t.Fatal(errA, errB)
				}
				agree(t, tensor, a, b)
			}
			a, errA := onGPU.Sums(t.Context(), i)
			b, errB := onCPU.Sums(t.Context(), i)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			agree(t, tensor, a, b)
		}
		bits, block := coarse.Packing(i)
		for _, set := range []func(i, bits, block, row0 int, rows []byte){onGPU.Set, onCPU.Set} {
			set(i, bits, block, 0, coarse.Stored[i])
		}
	}
}

func agree(t *testing.T, tensor model.Tensor, a, b *quant.Sums) {
	t.Helper()
	if a.Tokens != b.Tokens {
		t.Errorf("%s: %d tokens on the device, %d on the CPU", tensor.Name, a.Tokens, b.Tokens)
	}
	n := tensor.Cols()
	for i := range n {
		for j := i + 1; j < n; j++ { // only the lower triangle counts
			a.Inputs[i*n+j], b.Inputs[i*n+j] = 0, 0
		}
	}
	for _, s := range []struct {
		name string
		a, b []float32
	}{{"inputs", a.Inputs, b.Inputs}, {"gap", a.Gap, b.Gap}, {"debt", a.Debt, b.Debt}} {
		if len(s.a) != len(s.b) {
			t.Errorf("%s: %s: %d sums on the device, %d on the CPU", tensor.Name, s.name, len(s.a), len(s.b))
			continue
		}
		var d, size float64
		for i, v := range s.a {
			d += float64(v-s.b[i]) * float64(v-s.b[i])
			size += float64(v) * float64(v)
		}
		allowed := 1e-5
		if s.name != "inputs" {
			allowed = 1e-4 // differences, of few tokens
		}
		if d > 0 && !(math.Sqrt(d/size) <= allowed) {
			t.Errorf("%s: %s: relative RMS %.2g", tensor.Name, s.name, math.Sqrt(d/size))
		}
	}
}

// TestKVFloat32 finds the layers whose values are beyond what is safe in float16, the last one among them.
func TestKVFloat32(t *testing.T) {
	const factor = 1 << 20
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(32))
	last := len(src.Described.Layers) - 1
	for i, tensor := range src.Listed {
		if tensor.Layer != 0 && tensor.Layer != last {
			continue
		}
		switch tensor.Role {
		case model.RoleV:
			rescale(src, i, factor)
		case model.RoleO:
			rescale(src, i, 1./factor)
		}
	}
	windows := [][]int32{modeltest.Tokens(17, src.Described.Vocab)}
	onGPU, err := New(t.Context(), gputest.Open(t), src, windows, true)
	if err != nil {
		t.Fatal(err)
	}
	onCPU, err := cpu.New(src, windows, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]interface {
		calibrator
		KVFloat32(ctx context.Context) ([]int, error)
	}{"GPU": onGPU, "CPU": onCPU} {
		defer c.Close()
		if got, err := c.KVFloat32(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("%s: before anything was run, layers %v, error %v", name, got, err)
		}
		setUntil(t, c, src, model.RoleDown, last)
		if got, err := c.KVFloat32(t.Context()); err != nil || !slices.Equal(got, []int{0, last}) {
			t.Errorf("%s: layers %v, error %v, want 0 and %d", name, got, err, last)
		}
	}
}

// TestHugeActivations calibrates a model with values and MLP activations that are far beyond float16. Their weights are
// scaled up by a power of two, those that read them down, so that all other activations stay the same and sums over
// these are larger by exactly the square of that.
func TestHugeActivations(t *testing.T) {
	const factor = 1 << 20
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(32))
	huge := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(32))
	for i, tensor := range huge.Listed {
		switch tensor.Role {
		case model.RoleV, model.RoleUp:
			rescale(huge, i, factor)
		case model.RoleO, model.RoleDown:
			rescale(huge, i, 1./factor)
		}
	}
	windows := [][]int32{modeltest.Tokens(47, src.Described.Vocab)}
	for name, open := range map[string]func(model.Weights) (calibrator, error){
		"gpu": func(w model.Weights) (calibrator, error) { return New(t.Context(), dev, w, windows, true) },
		"cpu": func(w model.Weights) (calibrator, error) { return cpu.New(w, windows, true) },
	} {
		plain, err := open(src)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		scaled, err := open(huge)
		if err != nil {
			t.Fatal(err)
		}
		defer scaled.Close()
		for i, tensor := range src.Listed {
			if tensor.Role == model.RoleO || tensor.Role == model.RoleDown {
				compareScaled(t, name, tensor, plain, scaled, i, factor)
			}
			bits, block := src.Packing(i)
			plain.Set(i, bits, block, 0, src.Stored[i])
			scaled.Set(i, bits, block, 0, huge.Stored[i])
		}
	}
}

// compareScaled compares the sums over the inputs of tensor i, and prepares feedback with them.
func compareScaled(t *testing.T, name string, tensor model.Tensor, plain, scaled calibrator, i int, factor float32) {
	t.Helper()
	want, errA := plain.Sums(t.Context(), i)
	got, errB := scaled.Sums(t.Context(), i)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for k, v := range want.Inputs {
		if got.Inputs[k] != v*factor*factor {
			t.Fatalf("%s: %s: sum %d is %g, want %g", name, tensor.Name, k, got.Inputs[k], v*factor*factor)
		}
	}
	f, err := quant.NewFeedback(got.Inputs, tensor.Cols(), .1)
	if err == nil {
		err = f.Toward(got, .5)
	}
	if err != nil {
		t.Errorf("%s: %s: %v", name, tensor.Name, err)
	}
}

// calibrator is what both calibrators are.
type calibrator interface {
	Sums(ctx context.Context, i int) (*quant.Sums, error)
	Set(i, bits, size, row0 int, rows []byte)
	Close() error
}

// rescale multiplies tensor i, which is stored as float32.
func rescale(m *modeltest.Model, i int, factor float32) {
	for k := range m.Values[i] {
		m.Values[i][k] *= factor
	}
	copy(m.Stored[i], graph.FloatBytes(m.Values[i]))
}
