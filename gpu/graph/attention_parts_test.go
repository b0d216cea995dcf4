package graph

import (
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

func TestOnePartLanes(t *testing.T) {
	large, small := gpu.Limits{MaxInvocations: 1024, MaxWorkgroupBytes: 48 << 10}, gpu.Limits{MaxInvocations: 256, MaxWorkgroupBytes: 16 << 10}
	for _, c := range []struct {
		dim, positions int
		limits         gpu.Limits
		want           int
	}{
		{128, 128, large, 256},
		{128, 512, large, 512},
		{128, 1024, large, 0}, // parts are faster
		{64, 128, large, 128},
		{64, 512, large, 256},
		{256, 512, large, 512},
		{512, 512, large, 0}, // sums of so many threads find no room
		{128, 512, small, 256},
		{256, 128, small, 128},
		{256, 256, small, 0}, // too many steps
		{80, 256, large, 512},
		{32, 512, small, 128},
		{8, 128, large, 64},
		{4, 128, large, 0}, // no whole octet
		{20, 128, large, 0},
	} {
		got := onePartLanes(c.dim, c.positions, c.limits)
		if got != c.want {
			t.Errorf("heads of %d, %d positions, %d threads and %d bytes at most: %d, want %d", c.dim, c.positions, c.limits.MaxInvocations, c.limits.MaxWorkgroupBytes, got, c.want)
		}
		if got == 0 {
			continue
		}
		k, err := kernels.Specialize("attention_token", kernels.Consts{
			"DIM": c.dim, "VALUE": c.dim, "QUERIES": 1, "LANES": got, "EACH": onePartEach, "LIMBS": flag(c.dim%32 == 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		if k.WorkgroupBytes > c.limits.MaxWorkgroupBytes || k.Invocations() > c.limits.MaxInvocations {
			t.Errorf("heads of %d: %d threads take %d bytes, at most %d are there", c.dim, got, k.WorkgroupBytes, c.limits.MaxWorkgroupBytes)
		}
	}
}
