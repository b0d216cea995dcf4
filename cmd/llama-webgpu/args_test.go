package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsFirst(t *testing.T) {
	for in, want := range map[string]string{
		"p inspect DIR --json":                  "p inspect --json DIR",
		"p --log-level debug inspect DIR":       "p --log-level debug inspect DIR",
		"p infer --model DIR -n 5 --prompt x":   "p infer --model DIR -n 5 --prompt x",
		"p infer stray --model DIR --stats -n=": "p infer --model DIR --stats -n= stray",
		"p infer --prompt - --model":            "p infer --prompt - --model",
		"p infer a -- --model":                  "p infer a -- --model",
		"p nothing --json x":                    "p nothing --json x",
		"p":                                     "p",
	} {
		got := strings.Join(flagsFirst(newApp(), strings.Fields(in)), " ")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}
