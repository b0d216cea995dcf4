package vector

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestBest compares with what the system says of the processor.
func TestBest(t *testing.T) {
	if AVX512.String() != "AVX-512" || AVX2.String() != "AVX2" || None.String() != "scalar" {
		t.Error("names of the levels have changed: they stand in reports")
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || runtime.GOARCH != "amd64" {
		want := map[string]Level{"arm64": NEON}[runtime.GOARCH]
		if runtime.GOARCH != "amd64" && Best() != want {
			t.Errorf("%s has %v, want %v", runtime.GOARCH, Best(), want)
		}
		return
	}
	_, flags, _ := strings.Cut(string(info), "\nflags")
	flags, _, _ = strings.Cut(flags, "\n")
	has := func(names ...string) bool {
		for _, name := range names {
			if !strings.Contains(flags+" ", " "+name+" ") {
				return false
			}
		}
		return true
	}
	want := None
	if has("avx2", "fma") {
		want = AVX2
		if !has("f16c") {
			t.Error("AVX2 and FMA, but no F16C")
		}
		if has("avx512f", "avx512dq", "avx512bw", "avx512vl") {
			want = AVX512
		}
	}
	if got := Best(); got != want {
		t.Errorf("got %v, the system says %v", got, want)
	}
	if got, want := VNNI(), want == AVX512 && has("avx512_vnni"); got != want {
		t.Errorf("VNNI %v, the system says %v", got, want)
	}
}
