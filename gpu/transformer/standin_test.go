package transformer

import (
	"context"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// TestStandIns makes the choice with kernels that every device runs, in the place of those that few do: one that
// is as right as matvec, being it; the same held to more than it can be; and one that is bound in another way.
func TestStandIns(t *testing.T) {
	dev, before := gputest.Open(t), standIns
	t.Cleanup(func() { standIns = before })
	all := func(scheme) bool { return true }
	w := &weights{matrices: []*matrix{{parts: []*part{{scheme: scheme{4, 128}, width: 256, rows: 256}}}}}
	for _, c := range []struct {
		want   string
		list   []standIn
		chosen string
		err    string // of the choice
		trial  string // of the kernel
	}{
		{KernelsBaseline, []standIn{{"matvec", all, nil, 0}}, "", "", ""},
		{KernelsAuto, []standIn{{"matvec", all, nil, -1}}, "", "", ""},
		{KernelsAuto, []standIn{{"matvec", func(s scheme) bool { return s.bits == 8 }, nil, 0}}, "", "", ""},
		{KernelsAuto, []standIn{{"matvec_experts", all, nil, 1}}, "", "", "matvec_experts"},
		{"experts", []standIn{{"matvec_experts", all, nil, 1}}, "", "matvec_experts", ""},
	} {
		standIns = c.list
		k, err := NewKernels(dev, c.want)
		if err == nil {
			err = k.try(context.Background(), w)
		}
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v, want %q", c, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := k.chosen[scheme{4, 128}]; got != c.chosen {
			t.Errorf("%+v: %q is chosen", c, got)
		}
		for _, trial := range k.Trials() {
			if trial.Chosen || !strings.Contains(trial.Err, c.trial) || c.trial == "" && (trial.Err != "" || trial.RelativeRMS != 0) {
				t.Errorf("%+v: trial %+v", c, trial)
			}
		}
		if left := dev.Memory()["trial"]; left != 0 {
			t.Errorf("%d bytes of the trial are left", left)
		}
	}
}

// TestStandInForced: one that is asked for by name runs whether it is faster or not, if the device can.
func TestStandInForced(t *testing.T) {
	dev, before := gputest.Open(t), standIns
	t.Cleanup(func() { standIns = before })
	for _, name := range []string{"subgroups", "dot4", "f16"} {
		if _, err := NewKernels(dev, name); err == nil || !strings.Contains(err.Error(), "does not have what they need") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := NewKernels(dev, "fast"); err == nil || !strings.Contains(err.Error(), "want auto, baseline") {
		t.Errorf("error %v", err)
	}
}
