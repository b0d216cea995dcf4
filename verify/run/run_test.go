package run

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

const tiny = "../../testdata/tiny"

// made converts the tiny model.
func made(t *testing.T, format string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), format)
	if _, err := auto.Convert(t.Context(), tiny, dir, auto.Options{Policy: auto.Policy{Format: format, Method: "rtn"}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// small compares over little text on the CPU.
func small() Options {
	return Options{
		Engine: engine.Options{Device: engine.CPU},
		Text:   Text{Windows: 1, Tokens: 16},
	}
}

// TestVerify holds a result to the limits that were given, notes it in the bundle, and compares it with what a
// comparison of the same bundle says.
func TestVerify(t *testing.T) {
	dir := made(t, "int8")
	var steps []string
	o := VerifyOptions{Options: small(), RuntimeTokens: 8}
	o.Progress = func(p Progress) {
		if p.Step != "" && !slices.Contains(steps, p.Step) {
			steps = append(steps, p.Step)
		}
	}
	none := 0.0
	o.Limits.MaxKLD, o.Limits.MinTop1 = &none, &none
	r, err := Verify(t.Context(), dir, tiny, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Pass || len(r.Failures) != 1 || !strings.Contains(r.Failures[0], "mean KL divergence") || r.Page != nil {
		t.Errorf("pass %v, failures %q", r.Pass, r.Failures)
	}
	if want := []string{"checking " + dir, "runtime parity", "model drift"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if err := Record(dir, &r.Report); err != nil {
		t.Fatal(err)
	}
	c, err := OpenComparison(tiny, []string{dir}, small())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p := c.Bundles[0].Bundle.Manifest.Parity; p == nil || p.Pass || p.Drift.MeanKLD != r.Drift.MeanKLD {
		t.Errorf("the manifest has %+v", p)
	}
	rows := 0
	for row, err := range c.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
		if row.Drift.MeanKLD != r.Drift.MeanKLD {
			t.Errorf("the comparison says %v, verification %v", row.Drift.MeanKLD, r.Drift.MeanKLD)
		}
	}
	if rows != 1 {
		t.Errorf("%d rows", rows)
	}
}

// What there is no point in comparing is said before anything is measured.
func TestMistakes(t *testing.T) {
	dir := made(t, "int8")
	long, short := small(), small()
	long.Text.Tokens = 1 << 20
	short.Text.Text = "Few words."
	var wrong *OptionError
	var text *TextError
	for _, c := range []struct {
		bundle, checkpoint string
		o                  Options
		as                 any
		want               string
	}{
		{dir, dir, small(), &wrong, "is the same bundle"},
		{dir, tiny, long, &wrong, "window-tokens 1048576: the model was trained for 1024"},
		{dir, tiny, short, &text, "one window needs 16"},
		{tiny, tiny, small(), nil, "is a checkpoint"},
		{dir, fixture.Family(t, "llama"), small(), nil, "it was not made from that"},
	} {
		_, err := Verify(t.Context(), c.bundle, c.checkpoint, VerifyOptions{Options: c.o})
		if err == nil || !strings.Contains(err.Error(), c.want) || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%s and %s: got %v, want %s", c.bundle, c.checkpoint, err, c.want)
		}
	}
}

// A limit that is given is strict, and takes the place of one default only.
func TestLimits(t *testing.T) {
	m, err := source.OpenBundle(made(t, "int4"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	usual, err := Limits{}.thresholds(m)
	if err != nil || usual.Top1Errors == 0 {
		t.Fatal(usual, err)
	}
	half := 0.5
	got, err := Limits{MinTop1: &half}.thresholds(m)
	usual.MinTop1, usual.Top1Errors = half, 0
	if err != nil || got != usual {
		t.Errorf("got %+v, %v, want %+v", got, err, usual)
	}
}

// counter is a model that always continues with the next number, and ends at 9.
type counter struct{ verify.Forwarder }

func (counter) Forward(_ context.Context, tokens []int32, from int, each func(int, []float32) error) error {
	for i := from; i < len(tokens); i++ {
		logits := make([]float32, 10)
		logits[tokens[i]+1] = 1
		if err := each(i, logits); err != nil {
			return err
		}
	}
	return nil
}

func TestGreedy(t *testing.T) {
	for n, want := range map[int][]int32{2: {4, 5}, 9: {4, 5, 6, 7, 8}} {
		got, err := greedy(t.Context(), counter{}, []int{9}, []int32{1, 3}, n)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d tokens: %v, %v, want %v", n, got, err, want)
		}
	}
}

func TestCompareNothing(t *testing.T) {
	if _, err := OpenComparison(tiny, nil, small()); err == nil {
		t.Error("no bundle is no error")
	}
}
