package convert

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// inputsOf is a Calibration that says that the inputs of a matrix are all of equal strength, and
// checks what it is told.
type inputsOf struct {
	t       *testing.T
	tensors []model.Tensor
	mu      sync.Mutex
	rows    []int        // that were handed over, by tensor
	seen    [][]byte     // what they were
	asked   []model.Role // of one layer after the other
	sent    []int        // tokens that each expert has seen; nil: 5000 each
	fail    model.Role   // is refused
}

func (c *inputsOf) Set(i, bits, length, row0 int, rows []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if row0 != c.rows[i] {
		c.t.Errorf("tensor %d: rows from %d come after %d rows", i, row0, c.rows[i])
	}
	t := c.tensors[i]
	size := bits * t.Cols() / 8
	if length > 0 {
		size = block.Scheme{Bits: bits, Block: length}.RowBytes(t.Cols())
	}
	c.rows[i] += len(rows) / size
	c.seen[i] = append(c.seen[i], rows...)
}

func (c *inputsOf) Sums(_ context.Context, i int) (*quant.Sums, error) {
	if stacked(&bundle.Tensor{Role: c.tensors[i].Role, Shape: c.tensors[i].Shape}) && c.sent == nil {
		c.t.Errorf("the inputs of all experts of %q are asked for, and none wants them", c.tensors[i].Name)
	}
	return c.sums(i, 5000)
}

func (c *inputsOf) ExpertSums(_ context.Context, i, e int) (*quant.Sums, error) {
	if c.sent == nil {
		return c.sums(i, 5000)
	}
	return c.sums(i, c.sent[e])
}

// sums returns those over so many tokens.
func (c *inputsOf) sums(i, tokens int) (*quant.Sums, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for j, t := range c.tensors[:i] {
		if c.rows[j] != t.Rows() {
			c.t.Errorf("inputs of %q are asked for when %d of %d rows of %q are known", c.tensors[i].Name, c.rows[j], t.Rows(), t.Name)
		}
	}
	t := c.tensors[i]
	c.asked = append(c.asked, t.Role)
	if t.Role == c.fail {
		return nil, errors.New("no inputs")
	}
	h := make([]float32, t.Cols()*t.Cols())
	for j := range t.Cols() {
		h[j*t.Cols()+j] = float32(tokens * (1 + j%3))
		if j > 0 {
			h[j*t.Cols()+j-1] = 0.4 * float32(tokens)
		}
	}
	return &quant.Sums{Tokens: tokens, Inputs: h}, nil
}

func newInputs(t *testing.T, f *fake) *inputsOf {
	n := len(f.tensors)
	return &inputsOf{t: t, tensors: f.tensors, rows: make([]int, n), seen: make([][]byte, n)}
}

// TestCalibration checks the order in which inputs are asked for and rows handed over, that these are
// the bundle's, and that a run that goes on with an interrupted one ends with the same bytes.
func TestCalibration(t *testing.T) {
	f := newFake()
	whole, src := newInputs(t, f), source(t, f)
	out, report, err := run(t, src, Options{Format: "int4", Block: 32, Method: GPTQ, Calibration: whole, Text: "text"})
	if err != nil {
		t.Fatal(err)
	}
	want := []model.Role{model.RoleQ, model.RoleO, model.RoleGate, model.RoleDown, model.RoleQ, model.RoleO}
	for _, r := range []model.Role{model.RoleGate, model.RoleUp, model.RoleDown} {
		for range f.spec.Kinds[1].MLP.Experts {
			want = append(want, r)
		}
	}
	if !slices.Equal(whole.asked, want) {
		t.Errorf("inputs were asked for of %v, want %v", whole.asked, want)
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range f.tensors {
		raw := make([]byte, b.Manifest.Tensors[i].Length)
		if err := b.ReadAt(i, raw, 0); err != nil || !bytes.Equal(raw, whole.seen[i]) {
			t.Errorf("tensor %q: what was handed over is not what is in the bundle (%v)", f.tensors[i].Name, err)
		}
	}
	if q := report.Manifest.Quantization; q.Method != "gptq" || q.Calibration != "text" {
		t.Errorf("the manifest says %+v", q)
	}
	testCalibrationGoesOn(t, f, src, out)
}

// testCalibrationGoesOn stops a run in the last layer and goes on with it.
func testCalibrationGoesOn(t *testing.T, f *fake, src Source, whole string) {
	out := filepath.Join(t.TempDir(), "out")
	o := Options{Format: "int4", Block: 32, Method: GPTQ, Text: "text"}
	first := newInputs(t, f)
	const all = 2*4 - 2 + 3*5 // that are asked for, see TestCalibration
	stop := &stopping{inputsOf: first, after: all - 2}
	o.Calibration = stop
	ctx, cancel := context.WithCancel(context.Background())
	stop.cancel = cancel
	_, err := Run(ctx, src, out, o)
	var interrupted *Interrupted
	if !errors.As(err, &interrupted) {
		t.Fatalf("stopped: %v", err)
	}
	second := newInputs(t, f)
	o.Calibration, o.Stale = second, outdir.Resume
	if _, err := Run(context.Background(), src, out, o); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(second.asked, slices.Repeat([]model.Role{model.RoleDown}, 5)) {
		t.Errorf("it began anew: asked for the inputs of %v", second.asked)
	}
	a, errA := os.ReadFile(filepath.Join(whole, "model.wgpu"))
	b, errB := os.ReadFile(filepath.Join(out, "model.wgpu"))
	if errors.Join(errA, errB) != nil || !bytes.Equal(a, b) {
		t.Errorf("going on made other bytes (%v %v)", errA, errB)
	}
}

// stopping cancels the run when inputs have been asked for so many times.
type stopping struct {
	*inputsOf
	after  int
	cancel context.CancelFunc
}

func (s *stopping) ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error) {
	if len(s.asked) == s.after {
		s.cancel()
		return nil, ctx.Err()
	}
	return s.inputsOf.ExpertSums(ctx, i, e)
}

func TestCalibrationErrors(t *testing.T) {
	f := newFake()
	c := newInputs(t, f)
	c.fail = model.RoleO
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"no text":       {Options{Format: "int4", Method: GPTQ}, "wants calibration text"},
		"text for rtn":  {Options{Format: "int4", Method: quant.RTN, Calibration: newInputs(t, f)}, "takes no calibration text"},
		"it fails":      {Options{Format: "int4", Method: GPTQ, Calibration: c}, "no inputs"},
		"other methods": {Options{Format: "int4", Method: "awq"}, "want rtn, search or gptq"},
	} {
		out, _, err := run(t, source(t, f), test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: the bundle is there", name)
		}
	}
}

// TestDamping: a hundredth, or columns over tokens where that is more; finite without tokens.
func TestDamping(t *testing.T) {
	for _, c := range []struct {
		tokens, cols int
		want         float64
	}{{1 << 20, 1000, 0.01}, {100_000, 1000, 0.01}, {50_000, 1000, 0.02}, {500, 1000, 2}, {0, 1000, 1000}} {
		if got := dampingOf(c.tokens, c.cols); got != c.want {
			t.Errorf("%d tokens, %d columns: %v, want %v", c.tokens, c.cols, got, c.want)
		}
	}
}
