package cmdline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/llama-webgpu/llama-webgpu/quant/auto"
)

func TestReadYAML(t *testing.T) {
	for text, want := range map[string]string{ // "": no error
		"":                               "",
		"# nothing":                      "",
		"format: int4":                   "",
		"format: int4\nblock_size: 0x40": "",
		"format:":                        "",
		"keep_f16: [a, b]\noverrides: [{match: x, format: int8}]": "",
		"fromat: int4":                            `line 1: unknown key "fromat" (did you mean format?); there are block_size, `,
		"format: int4\n\nformat: int8":            `line 3: key "format" is in line 1 already`,
		"block_size: 64.5":                        `line 1: block_size: want a whole number, have "64.5"`,
		"block_size: many":                        `line 1: block_size: want a whole number, have "many"`,
		"rotate: 1":                               `line 1: rotate: want true or false, have "1"`,
		"format: [int4]":                          `line 1: format: want text, have a list`,
		"format: {a: b}":                          `line 1: format: want text, have keys and values`,
		"keep_f16: a":                             `line 1: keep_f16: want a list, have "a"`,
		"keep_f16: [[a]]":                         `line 1: keep_f16[0]: want text, have a list`,
		"overrides:\n- match: a\n- formt: int8":   `line 3: overrides[1]: unknown key "formt" (did you mean format?); there are block_size, format, match`,
		"overrides:\n- match: a\n  match: b":      `line 3: overrides[0]: key "match" is in line 2 already`,
		"overrides:\n- {match: a, block_size: x}": `line 2: overrides[0].block_size: want a whole number, have "x"`,
		"- a":                             `line 1: want keys and values, have a list`,
		"a":                               `line 1: want keys and values, have "a"`,
		"format: int4\n---\nformat: int8": "want one YAML document",
		"format: \"int4":                  "found unexpected end of stream",
	} {
		err := ReadYAML([]byte(text), &auto.Policy{})
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// FuzzReadYAML holds what is read to what the package's own decoder reads.
func FuzzReadYAML(f *testing.F) {
	f.Add("format: int4\nblock_size: 64\nkeep_f16: [a]\noverrides:\n- {match: x, format: int8, block_size: 32}\nrotate: yes")
	f.Add("overrides: &a [*a]")
	f.Add("keep_f16: [&a ~, *a]\noverrides:\n-")
	f.Add("<<: {format: a}\nformat: ~")
	f.Fuzz(func(t *testing.T, text string) {
		var got, want auto.Policy
		if ReadYAML([]byte(text), &got) != nil {
			return
		}
		d := yaml.NewDecoder(strings.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&want); err != nil && err.Error() != "EOF" {
			t.Fatalf("%q: the decoder says %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text, diff)
		}
	})
}
