package gpu

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	as := []AdapterInfo{
		{Index: 0, Name: "NVIDIA H100 80GB", Driver: "NVIDIA", Backend: "Vulkan", Type: "discrete"},
		{Index: 1, Name: "NVIDIA H100 80GB", Driver: "NVIDIA", Backend: "Vulkan", Type: "discrete"},
		{Index: 2, Name: "llvmpipe (LLVM 15.0.6, 256 bits)", Driver: "Mesa", Backend: "Vulkan", Type: "cpu"},
	}
	for _, test := range []struct {
		want  string
		index int
		err   string // a part of it
	}{
		{"", 0, ""},
		{"0", 0, ""},
		{"2", 2, ""},
		{"+1", 1, ""},
		{"5", 0, "no GPU adapter with number 5; available: 0: NVIDIA H100 80GB (Vulkan, discrete, NVIDIA); 1: "},
		{"256", 0, "no GPU adapter with number 256; available: 0: "},
		{"-1", 0, "no GPU adapter with number -1; available: 0: "},
		{"99999999999999999999", 0, "no GPU adapter with number 99999999999999999999; available: 0: "},
		{"LLVMpipe", 2, ""},
		{"15.0", 2, ""},
		{"mesa", 2, ""},
		{"h100", 0, `adapter "h100": several match: 0: NVIDIA H100 80GB (Vulkan, discrete, NVIDIA); 1: NVIDIA`},
		{"vulkan", 0, "several"},
		{"radeon", 0, `no GPU adapter called "radeon"; available: 0: `},
		{"-", 0, `no GPU adapter called "-"`},
	} {
		i, err := choose(as, test.want)
		switch {
		case test.err == "" && (err != nil || i != test.index):
			t.Errorf("%q: got %d, %v, want %d", test.want, i, err, test.index)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%q: got %d, %v, want an error with %q", test.want, i, err, test.err)
		}
	}
}
