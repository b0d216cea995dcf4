package kernels_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

var (
	poisonVar  = regexp.MustCompile(`(?m)^var<workgroup> (\w+): ([^;]+);`)
	poisonMain = regexp.MustCompile(`(?s)fn main\([^{]*\blocal_invocation_index\) (\w+)[^{]*\{\n`)
)

// poisoned returns a kernel that begins by filling its workgroup memory with another number than 0: Dawn is told not to clear it,
// so no kernel may count on zeros there.
func poisoned(t testing.TB, k kernels.Kernel) kernels.Kernel {
	t.Helper()
	var fill strings.Builder
	main := poisonMain.FindStringSubmatchIndex(k.Source)
	for _, v := range poisonVar.FindAllStringSubmatch(k.Source, -1) {
		if main == nil {
			t.Fatalf("%s has workgroup memory, and no local_invocation_index to fill it by", k.Key)
		}
		at, of, ends := v[1], v[2], ""
		for depth := 0; strings.HasPrefix(of, "array<"); depth++ {
			comma := strings.LastIndex(of, ", ")
			i, from, step := fmt.Sprint("poison", depth), "0u", "1u"
			if depth == 0 {
				from, step = k.Source[main[2]:main[3]], fmt.Sprint(k.Invocations(), "u")
			}
			fmt.Fprintf(&fill, "  for (var %s = %s; %s < %s; %s += %s) {\n", i, from, i, strings.TrimSuffix(of[comma+2:], ">"), i, step)
			at, of, ends = at+"["+i+"]", of[len("array<"):comma], ends+"  }\n"
		}
		if strings.HasPrefix(of, "atomic") {
			fmt.Fprintf(&fill, "  atomicStore(&%s, 77u);\n%s", at, ends)
		} else {
			fmt.Fprintf(&fill, "  %s = %s(77);\n%s", at, of, ends)
		}
	}
	if fill.Len() == 0 {
		return k
	}
	p, err := kernels.Parse(k.Name, k.Source[:main[1]]+fill.String()+"  workgroupBarrier();\n"+k.Source[main[1]:], nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Key, p.Operands = k.Key+"/poisoned", k.Operands
	return p
}
