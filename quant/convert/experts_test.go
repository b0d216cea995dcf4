package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// TestStarvedExperts has experts of which some see few tokens and one none: the down projection of that one is what
// the search makes of it, and the bundle says how many there are, also if the run was interrupted after them.
func TestStarvedExperts(t *testing.T) {
	f := newFake()
	src := source(t, f)
	sent := []int{5000, 5000, 350, 200, 0} // enough are 400 for gate and up, 1200 for down
	options := func() Options {
		c := newInputs(t, f)
		c.sent = sent
		return Options{Format: "int4", Block: 32, Method: GPTQ, Calibration: c, Text: "text"}
	}
	out, report, err := run(t, src, options())
	if err != nil {
		t.Fatal(err)
	}
	m := report.Manifest
	notes := slices.DeleteFunc(slices.Clone(m.Notes), func(n string) bool { return !strings.Contains(n, "of 5 experts saw fewer than") })
	if len(notes) != 2 || !strings.Contains(notes[0], "gate and up projections of 3 of 5 experts saw fewer than 400 tokens") ||
		!strings.Contains(notes[1], "down projections of 3 of 5 experts saw fewer than 1200 tokens") {
		t.Errorf("notes: %q", m.Notes)
	}
	for i, e := range m.Tensors {
		want := int64(0)
		if stacked(&m.Tensors[i]) {
			want = 3
		}
		if e.Starved != want {
			t.Errorf("tensor %q: %d experts starved, want %d", e.Name, e.Starved, want)
		}
	}
	plain, _, err := run(t, src, Options{Format: "int4", Block: 32})
	if err != nil {
		t.Fatal(err)
	}
	i := f.index(1, model.RoleDown)
	a, b := stored(t, out, i), stored(t, plain, i)
	part := len(a) / 5
	for e := range sent {
		if same := bytes.Equal(a[e*part:(e+1)*part], b[e*part:(e+1)*part]); same != (sent[e] == 0) {
			t.Errorf("expert %d of %d tokens: as the search has it: %v", e, sent[e], same)
		}
	}
	testStarvedGoesOn(t, src, options, out)
}

// TestOneExpert has a mixture of one: it is still an expert's sums that it is rounded for.
func TestOneExpert(t *testing.T) {
	f := newFake()
	f.spec.Kinds[1].MLP.Experts, f.spec.Kinds[1].MLP.TopK = 1, 1
	f.tensors = f.spec.Tensors()
	for i := range f.tensors {
		f.tensors[i].Name = fmt.Sprintf("model.%d.%s", f.tensors[i].Layer, f.tensors[i].Role)
		f.values[i] = f.values[i][:f.tensors[i].Rows()*f.tensors[i].Cols()]
	}
	src := source(t, f)
	c := newInputs(t, f)
	out, _, err := run(t, src, Options{Format: "int4", Block: 32, Method: GPTQ, Calibration: c, Text: "text"})
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := run(t, src, Options{Format: "int4", Block: 32})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []model.Role{model.RoleGate, model.RoleUp, model.RoleDown} {
		if i := f.index(1, r); bytes.Equal(stored(t, out, i), stored(t, plain, i)) {
			t.Errorf("%s: as the search has it", r)
		}
	}
}

// testStarvedGoesOn stops a run behind the experts' gates and goes on with it.
func testStarvedGoesOn(t *testing.T, src Source, options func() Options, whole string) {
	out := filepath.Join(t.TempDir(), "out")
	o := options()
	ctx, cancel := context.WithCancel(context.Background())
	o.Calibration = &stopping{inputsOf: o.Calibration.(*inputsOf), after: 6 + 2*(5+1), cancel: cancel}
	_, err := Run(ctx, src, out, o)
	var interrupted *Interrupted
	if !errors.As(err, &interrupted) {
		t.Fatalf("stopped: %v", err)
	}
	o = options()
	o.Stale = outdir.Resume
	if _, err := Run(context.Background(), src, out, o); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{bundle.BlobName, bundle.ManifestName} {
		a, errA := os.ReadFile(filepath.Join(whole, name))
		b, errB := os.ReadFile(filepath.Join(out, name))
		if errors.Join(errA, errB) != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: going on made other bytes (%v %v)", name, errA, errB)
		}
	}
}

// stored returns the bytes of tensor i of a bundle.
func stored(t *testing.T, dir string, i int) []byte {
	t.Helper()
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	raw := make([]byte, b.Manifest.Tensors[i].Length)
	if err := b.ReadAt(i, raw, 0); err != nil {
		t.Fatal(err)
	}
	return raw
}
