//go:build !cgo && (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"maps"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestMatricesCompile compiles the kernels of subgroup matrices for every packing, on a device that compiles everything
// and runs nothing. Libraries differ in how they want these kernels spelled: a device tries both.
func TestMatricesCompile(t *testing.T) {
	dev := openNull(t)
	if f := dev.Features(); !f.SubgroupMatrix || !f.ShaderF16 {
		t.Fatalf("features %+v: want subgroup matrices and float16", f)
	}
	for _, c := range []kernels.Consts{
		{"BITS": 4, "BLOCK": 128}, {"BITS": 4, "BLOCK": 32, "BUFFERS": 2, "LIMBS": 1}, {"BITS": 8, "BLOCK": 64, "FINE": 1}, {"BITS": 4, "BLOCK": 64, "DEPTH": 16}, {"BITS": 2, "BLOCK": 256}, {"BITS": 16, "BLOCK": 8},
	} {
		c = maps.Clone(c)
		c["HIGH"], c["WIDE"] = 1, 1 // that device has little workgroup memory
		for _, name := range []string{"matmul_matrix", "matmul_matrix_experts"} {
			k, err := kernels.Specialize(name, c)
			if err != nil {
				t.Fatal(err)
			}
			unrolled, err := k.Unrolled()
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []kernels.Kernel{k, unrolled} {
				if _, err := dev.Pipeline(k); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, c := range []kernels.Consts{{"ALONG": 1, "BOTH": 1}, {"ALONG": 1, "BOTH": 1, "BITS": 8, "BLOCK": 32, "COLS": 4352, "HEIGHT": 100, "GATED": 1}, {"ALONG": 1, "BITS": 8, "BLOCK": 64}} {
		if _, err := dev.Pipeline(int8Kernel(t, c)); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]kernels.Consts{"attention_matrix": {"DIM": 16, "KEYS": 16}, "gram_matrix": {"HIGH": 1, "WIDE": 1}} {
		k, err := kernels.Specialize(name, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dev.Pipeline(k); err != nil {
			t.Error(err)
		}
	}
	k, err := kernels.Specialize("matmul_matrix", kernels.Consts{"HIGH": 1, "WIDE": 1})
	if err != nil {
		t.Fatal(err)
	}
	k.Key, k.Source = "wrong", k.Source+"\nfn wrong() -> u32 { return 1.5; }\n"
	if _, err := dev.Pipeline(k); err == nil {
		t.Error("a wrong kernel was compiled")
	}
}

// int8Kernel is a kernel of int8 matrices without the one function of theirs that libraries of spring 2026 lack.
func int8Kernel(t *testing.T, c kernels.Consts) kernels.Kernel {
	t.Helper()
	k, err := kernels.Specialize("matvec_int8", c)
	if err == nil {
		k, err = k.Unrolled()
	}
	if err != nil {
		t.Fatal(err)
	}
	k.Source = strings.Replace(k.Source, "subgroupMatrixScalarMultiply(sums, 256i)", "sums", 1)
	return k
}

// openNull opens the adapter that runs nothing.
func openNull(t *testing.T) *Device {
	t.Helper()
	l, err := loadDawn("")
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.NewInstance()
	if err != nil {
		t.Fatal(err)
	}
	a, err := in.Null()
	if a == nil || err != nil {
		in.Release()
		t.Fatalf("no adapter that runs nothing: %v", err)
	}
	dev, err := a.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &dawnBackend{instance: in, dev: dev, adapter: dawnInfo(0, a.Info, l.Path()), max: dawnLimits(a.Limits)}
	a.Release()
	n.can = n.prove()
	d := newDevice(n, Options{Log: silent{}})
	t.Cleanup(d.Close)
	return d
}
