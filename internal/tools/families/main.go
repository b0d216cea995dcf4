// Command families writes the tables of families in README.md and docs/models.md, between lines that say so, from the
// table of families and from the configurations of their test checkpoints. It never reads weights.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "families:", err)
		os.Exit(1)
	}
}

// run writes the tables in the repository at root.
func run(root string) error {
	pages, err := pages(root)
	if err != nil {
		return err
	}
	for path, text := range pages {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages returns the files that have tables, by path, as they should be.
func pages(root string) (map[string][]byte, error) {
	specs, err := fixtures(filepath.Join(root, "testdata/families"))
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for name, table := range map[string]string{"README.md": kinds(specs), "docs/models.md": rows(specs)} {
		path := filepath.Join(root, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if all[path], err = put(text, table); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

// put replaces what stands between the lines of the table.
func put(text []byte, table string) ([]byte, error) {
	const begin, end = "<!-- families -->\n", "<!-- /families -->\n"
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return nil, fmt.Errorf("want the lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return slices.Concat(before, []byte(begin+table+end), after), nil
}

// fixtures returns what the test checkpoints of each family are.
func fixtures(dir string) (map[string][]*model.Spec, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*/config.json"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("%s: no configurations (%w)", dir, err)
	}
	specs := map[string][]*model.Spec{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c, err := hf.ReadConfig(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		specs[c.Spec.Family] = append(specs[c.Spec.Family], c.Spec)
	}
	return specs, nil
}

// kinds is the table of README.md: families by what they are.
func kinds(specs map[string][]*model.Spec) string {
	names := []string{"RMSNorm", "LayerNorm", "experts", "the language model of a multimodal one", "code in the checkpoint, not in transformers"}
	members := map[string][]string{}
	for _, f := range hf.Families() {
		kind := names[0]
		switch {
		case f.Holds != nil || strings.HasSuffix(f.Name, "_text"):
			kind = names[3]
		case f.Remote:
			kind = names[4]
		case slices.ContainsFunc(specs[f.Name], mixes):
			kind = names[2]
		case slices.ContainsFunc(specs[f.Name], func(s *model.Spec) bool { return s.Norm.Kind == model.LayerNorm }):
			kind = names[1]
		}
		members[kind] = append(members[kind], f.Name)
	}
	var b strings.Builder
	b.WriteString("| | model_type |\n|---|---|\n")
	for _, kind := range names {
		fmt.Fprintf(&b, "| %s | %s |\n", kind, strings.Join(members[kind], ", "))
	}
	return b.String()
}

func mixes(s *model.Spec) bool {
	return slices.ContainsFunc(s.Kinds, func(k model.Layer) bool { return k.MLP.Experts > 0 })
}

// rows is the table of docs/models.md: a row for each family.
func rows(specs map[string][]*model.Spec) string {
	var b strings.Builder
	b.WriteString("| model_type | what its test checkpoints switch on |\n|---|---|\n")
	for _, f := range hf.Families() {
		var what []string
		if f.Holds != nil {
			what = append(what, "around "+strings.Join(f.Holds, " or "))
		}
		for _, s := range specs[f.Name] {
			for _, feature := range features(s) {
				if !slices.Contains(what, feature) {
					what = append(what, feature)
				}
			}
		}
		if what == nil {
			what = []string{"tested inside another"}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, strings.Join(what, ", "))
	}
	return b.String()
}
