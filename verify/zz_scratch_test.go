package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/nlpodyssey/safetensors"
)

func f32s(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

func TestScratch(t *testing.T) {
	dirs, _ := filepath.Glob("/work/shared/fixtures/*")
	dirs = append([]string{"/work/shared/models/tiny", "/work/shared/models/small"}, dirs...)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, err := hf.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b, err := os.ReadFile(filepath.Join(dir, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			g, err := safetensors.Deserialize(b)
			if err != nil {
				t.Fatal(err)
			}
			iv, _ := g.Tensor("input_ids")
			var ids []int32
			w := len(iv.Data()) / int(iv.Shape()[len(iv.Shape())-1])
			for i := 0; i < len(iv.Data()); i += w {
				ids = append(ids, int32(binary.LittleEndian.Uint32(iv.Data()[i:])))
			}
			lv, _ := g.Tensor("logits")
			want := f32s(lv.Data())
			r, err := NewReference(Halved(c), ReferenceOptions{MaxSeqLen: len(ids)})
			if err != nil {
				t.Fatal(err)
			}
			n := len(c.Spec().Layers)
			hmax, hrel := 0.0, 0.0
			r.SetTrace(func(layer int, h []float32) {
				if layer == n {
					return
				}
				if layer == n+1 {
					layer = n
				}
				v, ok := g.Tensor(fmt.Sprintf("hidden.%d", layer))
				if !ok {
					return
				}
				hw := f32s(v.Data())
				if len(hw) != len(h) {
					t.Fatal("hidden size", len(hw), len(h))
				}
				for i := range h {
					d := math.Abs(float64(h[i] - hw[i]))
					hmax = max(hmax, d)
					hrel = max(hrel, d/(1+math.Abs(float64(hw[i]))))
				}
			})
			start := time.Now()
			dmax, lmax := 0.0, 0.0
			err = r.Forward(context.Background(), ids, 0, func(i int, l []float32) error {
				for j, x := range l {
					dmax = max(dmax, math.Abs(float64(x-want[i*len(l)+j])))
					lmax = max(lmax, math.Abs(float64(x)))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("%-12s n=%d max|dlogit| %.2e (max logit %.1f) hidden max %.2e rel %.2e  %v notes %v\n", filepath.Base(dir), len(ids), dmax, lmax, hmax, hrel, time.Since(start).Round(time.Millisecond), c.Notes())
			if !(dmax <= 2e-3) {
				t.Fail()
			}
		})
	}
}
