package transformer

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestFamilies converts a checkpoint of every family, the first layer to float16 and the others to
// one of the formats by turns, and compares the GPU's logits with the CPU reference's on the same
// weights, fed in one go, in uneven chunks, token by token, from where it was rewound to, and in a batch.
// That the reference computes what transformers does is a test of package verify.
func TestFamilies(t *testing.T) {
	dev := gputest.Open(t)
	dirs, err := os.ReadDir(fixture.Families(t))
	if err != nil {
		t.Fatal(err)
	}
	formats := []string{"int8", "int4", "int2"}
	for i, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			dir := fixture.Family(t, d.Name())
			b := convertFamily(t, dir, formats[i%3], formats[(i+1)%3])
			golden, err := verify.ReadGolden(filepath.Join(dir, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			tr, err := New(context.Background(), dev, b, Options{MaxSeqLen: len(golden.IDs), Chunk: 32, MaxBatch: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			ref, err := verify.NewReference(b, verify.ReferenceOptions{KVFloat16: true, MaxSeqLen: len(golden.IDs)})
			if err != nil {
				t.Fatal(err)
			}
			want := modeltest.Run(t, ref, golden.IDs)
			inPieces(t, tr, golden.IDs, want, 1e-3, nil, []int{5, 17, 2, 11}, []int{1})
			rewound(t, tr, golden.IDs, want)
			batched(t, tr, golden.IDs, want)
		})
	}
	if len(dirs) < 17 {
		t.Errorf("%d families, want 17 or more", len(dirs))
	}
}

// convertFamily makes a bundle of a checkpoint.
func convertFamily(t *testing.T, dir, format, embed string) *bundle.Bundle {
	t.Helper()
	checkpoint, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkpoint.Close() })
	return modeltest.Bundle(t, checkpoint, convert.Options{
		Format: format, EmbedFormat: embed, Method: "rtn", KeepF16: []*regexp.Regexp{regexp.MustCompile(`\.0\.`)},
	})
}

// rewound goes back in a short sequence, and feeds what follows.
func rewound(t *testing.T, tr *Transformer, ids []int32, want []float32) {
	t.Helper()
	const from, to = 5, 8 // all of it fits into any window here
	vocab := tr.Spec().Vocab
	modeltest.Run(t, tr, ids[:from])
	if err := tr.Keep(); err != nil {
		t.Fatal(err)
	}
	feed(t, tr, ids[from:to])
	if err := tr.Rewind(from); err != nil {
		t.Fatal(err)
	}
	if d := modeltest.RelRMS(t, feed(t, tr, ids[from:to]), want[from*vocab:to*vocab]); !(d <= 1e-3) {
		t.Errorf("rewound: relative RMS %.2g", d)
	}
}

// batched feeds tokens to two sequences of different lengths together.
func batched(t *testing.T, tr *Transformer, ids []int32, want []float32) {
	t.Helper()
	ctx, vocab := t.Context(), tr.Spec().Vocab
	lengths := []int{17, 6}
	for s, n := range lengths {
		if err := tr.Select(s); err != nil {
			t.Fatal(err)
		}
		tr.Reset()
		if _, _, err := tr.Top(ctx, ids[:n]); err != nil {
			t.Fatal(err)
		}
	}
	for step := range 2 {
		next := []int32{ids[lengths[0]+step], ids[lengths[1]+step]}
		if err := tr.TopOf(ctx, []int{0, 1}, next, ignored); err != nil {
			t.Fatal(err)
		}
		for s, n := range lengths {
			got, err := tr.LogitsOf(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			if d := modeltest.RelRMS(t, got, want[(n+step)*vocab:(n+step+1)*vocab]); !(d <= 1e-3) {
				t.Errorf("in a batch, sequence %d, step %d: relative RMS %.2g", s, step, d)
			}
		}
	}
}
