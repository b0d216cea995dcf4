package transformer

import (
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// holding are made-up models whose caches differ: whole contexts, windows that wrap around, latent vectors, states, layers
// without a cache.
var holding = append([]string{
	"plain", "both norms, softcaps, windows, head norms", "a latent vector of an odd size", "layers of one branch, experts on narrow vectors",
	"normalized values, which are keys, scaled layers", "keys and values of earlier layers, inputs of layers",
}, recurrent...)

// continued feeds tokens to a sequence and returns all logits.
func continued(t *testing.T, tr *Transformer, sequence int, tokens []int32) []float32 {
	t.Helper()
	if err := tr.Select(sequence); err != nil {
		t.Fatal(err)
	}
	return feed(t, tr, tokens)
}

// moved takes the selected sequence's state out and puts it into another one.
func moved(t *testing.T, tr *Transformer, to int) {
	t.Helper()
	position, kept, reached := tr.Position(), tr.Kept(), tr.Reached()
	var parts [][]byte
	for _, n := range tr.Held() {
		parts = append(parts, make([]byte, n))
	}
	at := len(parts) / 2
	for first, some := range map[int][][]byte{0: parts[:at], at: parts[at:]} {
		if err := tr.ReadHeld(t.Context(), first, some); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Select(to); err != nil {
		t.Fatal(err)
	}
	tr.Reset()
	if err := tr.Place(position, kept, reached); err != nil {
		t.Fatal(err)
	}
	if err := tr.WriteHeld(0, parts); err != nil {
		t.Fatal(err)
	}
}

// TestHeld copies a sequence to others, on the device and by way of the CPU: they go on with the same logits, bit for bit,
// whatever was in their place before.
func TestHeld(t *testing.T) {
	dev := gputest.Open(t)
	for i, name := range holding {
		t.Run(name, func(t *testing.T) {
			s := modeltest.PlainSpec()
			modeltest.Specs[name](&s)
			tr, err := New(t.Context(), dev, modeltest.New(t, s, modeltest.Blocks(8, 64), modeltest.Floats(16)), Options{MaxBatch: 4, MaxSeqLen: 48, Chunk: 8, KVBits: 16 + i%2*16})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			const kept, end = 29, 33
			tokens := modeltest.Tokens(40, s.Vocab)
			for other := range 4 {
				continued(t, tr, other, tokens[other:other+9])
				tr.Reset()
			}
			continued(t, tr, 1, tokens[:kept])
			if err := tr.Keep(); err != nil {
				t.Fatal(err)
			}
			continued(t, tr, 1, tokens[kept:end])
			for to, n := range map[int]int{0: end, 3: kept} {
				if err := tr.Select(to); err != nil {
					t.Fatal(err)
				}
				if err := tr.CopyFrom(1, n); err != nil || tr.Position() != n {
					t.Fatalf("the first %d tokens: %v, now there are %d", n, err, tr.Position())
				}
			}
			if err := tr.Select(1); err != nil {
				t.Fatal(err)
			}
			moved(t, tr, 2)
			want := continued(t, tr, 1, tokens[end:])
			for _, to := range []int{0, 2} {
				if got := continued(t, tr, to, tokens[end:]); !slices.Equal(got, want) {
					t.Errorf("sequence %d: relative RMS %.2g", to, modeltest.RelRMS(t, got, want))
				}
			}
			got := continued(t, tr, 3, tokens[kept:])
			for _, from := range []int{1, 2} {
				if err := tr.Select(from); err != nil {
					t.Fatal(err)
				}
				if !tr.CanRewind(kept) { // a window has moved on
					if !slices.ContainsFunc(s.Kinds, func(k model.Layer) bool { return k.Attention.Window > 0 }) {
						t.Errorf("sequence %d cannot go back", from)
					}
					continue
				}
				if err := tr.Rewind(kept); err != nil {
					t.Fatal(err)
				}
				if want := continued(t, tr, from, tokens[kept:]); !slices.Equal(got, want) {
					t.Errorf("sequence %d, from where it was kept: relative RMS %.2g", from, modeltest.RelRMS(t, got, want))
				}
			}
		})
	}
}

// TestHeldErrors refuses copies of what is not there.
func TestHeldErrors(t *testing.T) {
	tr, err := New(t.Context(), gputest.Open(t), modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64)), Options{MaxBatch: 2, MaxSeqLen: 32})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	continued(t, tr, 1, []int32{1, 2, 3})
	if err := tr.Select(0); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"there are 2":                     tr.CopyFrom(2, 1),
		"the first 4 tokens":              tr.CopyFrom(1, 4),
		"the first -1 tokens":             tr.CopyFrom(1, -1),
		"a sequence of -1":                tr.Place(-1, -1, 0),
		"of 100000000 tokens":             tr.Place(1e8, -1, 1e8),
		"3 tokens, kept at 1, once of 3:": tr.Place(3, 1, 3),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := tr.CopyFrom(1, 0); err != nil || tr.Position() != 0 {
		t.Errorf("nothing of a sequence: %v, %d tokens", err, tr.Position())
	}
	if err := tr.Select(1); err != nil {
		t.Fatal(err)
	}
	if err := tr.Place(1, -1, 1); err == nil || tr.Position() != 3 {
		t.Errorf("a sequence with tokens was replaced: %v", err)
	}
}
