package graph

import (
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Tuned are values of those constants of a kernel that change its speed but not its results.
type Tuned map[string]int

// add adds them to the constants of a kernel.
func (c Tuned) add(to kernels.Consts) {
	for name, v := range c {
		to[name] = v
	}
}

// Tuning holds the fastest constants that were found on a device, by kernel and class.
type Tuning map[TuningKey]Tuned

// TuningKey names a kernel and a class of products; see Shape.Class and AttentionClass.
type TuningKey struct{ Kernel, Class string }

// Check returns an error if there is a kernel, constant or value that cannot be tuned.
func (u Tuning) Check() error {
	for key, c := range u {
		t := TunableOf(key.Kernel)
		if t == nil {
			return fmt.Errorf("kernel %q cannot be tuned", key.Kernel)
		}
		if len(c) != len(t.Values) {
			return fmt.Errorf("kernel %s has %d constants to be tuned, not %v", key.Kernel, len(t.Values), c)
		}
		for _, v := range t.Values {
			if got, ok := c[v.Name]; !ok || !slices.Contains(v.Values, got) {
				return fmt.Errorf("kernel %s: %v: want %s to be one of %v", key.Kernel, c, v.Name, v.Values)
			}
		}
	}
	return nil
}

// TunableKernels names the kernels that can be tuned.
func TunableKernels() []string {
	var names []string
	for _, t := range tunables {
		names = append(names, t.Kernel)
	}
	return names
}

// String lists the constants by name.
func (c Tuned) String() string {
	var s string
	for _, name := range kernels.Sorted(c) {
		s += fmt.Sprintf(" %s=%d", name, c[name])
	}
	return s[min(1, len(s)):]
}
