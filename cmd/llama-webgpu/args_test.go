package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

func TestFlagsFirst(t *testing.T) {
	for in, want := range map[string]string{
		"p inspect DIR --json":                  "p inspect --json DIR",
		"p --log-level debug inspect DIR":       "p --log-level debug inspect DIR",
		"p infer --model DIR -n 5 --prompt x":   "p infer --model DIR -n 5 --prompt x",
		"p infer stray --model DIR --stats -n=": "p infer --model DIR --stats -n= stray",
		"p infer --prompt - --model -":          "p infer --prompt - --model -",
		"p infer a -- --model":                  "p infer a --model",
		"p infer -- --model":                    "p infer -- --model",
		"p infer -p a --log-level=debug -m DIR": "p --log-level=debug infer --prompt a --model DIR",
		"p infer DIR --log-level debug -t=1":    "p --log-level debug infer --temperature=1 DIR",
		"p compare --json -r R a b":             "p compare --json - --reference R a b",
		"p compare a b --json r.json -r R":      "p compare --json r.json --reference R a b",
		"p verify a -r R --json":                "p verify --reference R --json - a",
		"p verify a -r R --json - -q":           "p verify --reference R --json - --quiet a",
		"p verify a -r R --json=r":              "p verify --reference R --json=r a",
		"p infer --prompt --model=x":            "p infer --prompt --model=x",
		"p --log-level infer inspect DIR -q":    "p --log-level infer inspect --quiet DIR",
		"p nothing --json x":                    "p nothing --json x",
		"p":                                     "p",
	} {
		args, err := cmdline.FlagsFirst(newApp(), strings.Fields(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
		}
		got := strings.Join(args, " ")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}
