package verify

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestWindows(t *testing.T) {
	ids := []int32{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	for _, c := range []struct {
		bos  int32
		size int
		n    int
		want [][]int32
	}{
		{1, 4, 0, [][]int32{{1, 11, 12, 13}, {1, 15, 16, 17}}},
		{1, 4, 1, [][]int32{{1, 11, 12, 13}}},
		{1, 5, 9, [][]int32{{1, 11, 12, 13, 14}, {1, 16, 17, 18, 19}}},
		{-1, 4, 1, [][]int32{{10, 11, 12, 13}}},
		{1, 11, 0, nil},
		{1, 3, 0, nil},
		{1, 4, -1, nil},
	} {
		got, err := Windows(ids, c.bos, c.size, c.n)
		if (err != nil) != (c.want == nil) || !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("Windows(bos %d, %d tokens, %d): %v, %v; want %v", c.bos, c.size, c.n, got, err, c.want)
		}
	}
	if ids[0] != 10 || ids[4] != 14 {
		t.Error("Windows changed its input")
	}
}

func TestDriftOfKnownDistributions(t *testing.T) {
	windows, err := Windows(make([]int32, 1024), 0, 512, 0)
	if err != nil {
		t.Fatal(err)
	}
	var progress []int
	d, err := MeasureDrift(t.Context(), lnOf(.5, .25, .25), lnOf(.25, .25, .5), windows, func(done, total int) {
		progress = append(progress, done, total)
	})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "KLD", d.MeanKLD, math.Ln2/4, 1e-7)
	near(t, "perplexity", d.PPL, 4, 1e-6)
	near(t, "reference's", d.PPLReference, 2, 1e-6)
	if d.Scored != 2*255 || d.Windows != 2 || d.WindowTokens != 512 {
		t.Errorf("%d positions of %d windows of %d tokens", d.Scored, d.Windows, d.WindowTokens)
	}
	if !slices.Equal(progress, []int{1, 2, 2, 2}) {
		t.Errorf("progress %v", progress)
	}
}

// Position by position, the chunked run must equal one that feeds the whole window.
func TestDriftScoresTheSecondHalf(t *testing.T) {
	for _, size := range []int{4, 5, 63, 64, 65, 66, 67, 130, 512} {
		const vocab = 40
		ids := toyTokens(2*size, vocab)
		windows, err := Windows(ids, 1, size, 0)
		if err != nil {
			t.Fatal(err)
		}
		ref, cand := newToy(vocab), newToy(vocab)
		for i := range cand.head {
			cand.head[i] *= 1.1
		}
		got, err := MeasureDrift(t.Context(), ref, cand, windows, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ref.peak > driftChunk {
			t.Errorf("%d tokens: %d rows of logits at once", size, ref.peak)
		}
		var m Metrics
		for _, w := range windows {
			a, b := rows(t, ref, w), rows(t, cand, w)
			for i := size / 2; i <= size-2; i++ {
				if err := m.Add(a[i], b[i], w[i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := m.Drift()
		if got.MeanKLD != want.MeanKLD || got.PPL != want.PPL || got.Scored != want.Scored || got.MeanKLD == 0 {
			t.Errorf("%d tokens: KLD %v, perplexity %v, %d scored; want %v, %v, %d", size,
				got.MeanKLD, got.PPL, got.Scored, want.MeanKLD, want.PPL, want.Scored)
		}
	}
}

func rows(t *testing.T, f Forwarder, tokens []int32) (all [][]float32) {
	t.Helper()
	f.Reset()
	err := f.Forward(t.Context(), tokens, 0, func(_ int, l []float32) error {
		all = append(all, slices.Clone(l))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDriftOfAModelFromItself(t *testing.T) {
	windows, _ := Windows(toyTokens(256, 30), 1, 128, 0)
	d, err := MeasureDrift(t.Context(), newToy(30), newToy(30), windows, nil)
	if err != nil || d.MeanKLD != 0 || d.KLD.Max != 0 || d.Top1 != 1 || d.LnPPLRatio != 0 || d.LnPPLRatioError > 1e-9 {
		t.Errorf("%+v, %v", d, err)
	}
}

// short breaks the contract of Forwarder in several ways.
type short struct {
	*toy
	way string
}

func (s short) Forward(ctx context.Context, tokens []int32, from int, each func(int, []float32) error) error {
	return s.toy.Forward(ctx, tokens, from, func(i int, l []float32) error {
		switch s.way {
		case "missing":
			if i == len(tokens)-1 {
				return nil
			}
		case "shifted":
			i++
		case "narrow":
			l = l[1:]
		}
		return each(i, l)
	})
}

func TestDriftErrors(t *testing.T) {
	windows, _ := Windows(toyTokens(512, 30), 1, 256, 0)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	failing := newToy(30)
	failing.fail = errToy
	for want, run := range map[string]func() (*Drift, error){
		"at least one window":                 func() (*Drift, error) { return MeasureDrift(t.Context(), newToy(30), newToy(30), nil, nil) },
		"has 30 tokens, the bundle 31":        func() (*Drift, error) { return MeasureDrift(t.Context(), newToy(30), newToy(31), windows, nil) },
		"context canceled":                    func() (*Drift, error) { return MeasureDrift(canceled, newToy(30), newToy(30), windows, nil) },
		"window 0: bundle: toy: out of order": func() (*Drift, error) { return MeasureDrift(t.Context(), newToy(30), failing, windows, nil) },
		"reference model: toy: out of order":  func() (*Drift, error) { return MeasureDrift(t.Context(), failing, newToy(30), windows, nil) },
		"bundle: logits of 63 positions": func() (*Drift, error) {
			return MeasureDrift(t.Context(), newToy(30), short{newToy(30), "missing"}, windows, nil)
		},
		"want 30 at index 128": func() (*Drift, error) {
			return MeasureDrift(t.Context(), newToy(30), short{newToy(30), "shifted"}, windows, nil)
		},
		"29 logits": func() (*Drift, error) {
			return MeasureDrift(t.Context(), newToy(30), short{newToy(30), "narrow"}, windows, nil)
		},
		"window 1 has 5 tokens, window 0 has 4": func() (*Drift, error) {
			return MeasureDrift(t.Context(), newToy(30), newToy(30), [][]int32{make([]int32, 4), make([]int32, 5)}, nil)
		},
	} {
		d, err := run()
		if err == nil || d != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := MeasureDrift(t.Context(), newToy(30), failing, windows, nil); !errors.Is(err, errToy) {
		t.Errorf("%v does not wrap the forwarder's error", err)
	}
}
