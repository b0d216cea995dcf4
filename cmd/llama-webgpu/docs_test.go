package main

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// A page is a Markdown file of the repository.
type page struct {
	name  string // path from the top of the repository
	text  string // what is not in code blocks
	code  string // code blocks
	spans string // code in the text, one span a line
}

var (
	fence = regexp.MustCompile("(?ms)^( *)```.*?^ *```$")
	ticks = regexp.MustCompile("`+")
)

// spansOf returns the code spans of a text: each ends at the next run of as many backticks as it begins with.
func spansOf(text string) (spans []string) {
	for {
		begin := ticks.FindStringIndex(text)
		if begin == nil {
			return spans
		}
		mark := text[begin[0]:begin[1]]
		text = text[begin[1]:]
		for _, end := range ticks.FindAllStringIndex(text, -1) {
			if text[end[0]:end[1]] == mark {
				spans = append(spans, strings.Join(strings.Fields(text[:end[0]]), " "))
				text = text[end[1]:]
				break
			}
		}
	}
}

// pages reads all Markdown files that are written for people.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, pattern := range []string{"*.md", "docs/*.md", "web/*.md", "web/third_party/*.md", "testdata/*/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all = append(all, readPage(t, name))
		}
	}
	if len(all) < 15 {
		t.Fatalf("found %d pages", len(all))
	}
	return all
}

func readPage(t *testing.T, file string) page {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	p := page{name: filepath.ToSlash(rel), text: fence.ReplaceAllString(text, "")}
	p.code = strings.Join(fence.FindAllString(text, -1), "\n")
	p.spans = strings.Join(spansOf(p.text), "\n")
	return p
}

// anchors are the names that GitHub gives to the headings of a page.
func (p page) anchors() []string {
	var all []string
	for line := range strings.Lines(p.text) {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title)))
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocsLinks follows every link that stays within the repository. Those of web/README.md are read at npm, where a
// relative one leads nowhere.
func TestDocsLinks(t *testing.T) {
	anchors := map[string][]string{}
	all := pages(t)
	for _, p := range all {
		anchors[p.name] = p.anchors()
	}
	for _, p := range all {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if ours, ok := strings.CutPrefix(target, "https://"+strings.TrimSuffix(module, "/")); ok {
				target = regexp.MustCompile(`^/(blob|tree)/main/?`).ReplaceAllString(ours, "")
			} else if strings.Contains(target, "://") {
				continue
			} else if target != "" {
				if p.name == "web/README.md" {
					t.Errorf("%s: %s: npm shows this page, so links must be absolute", p.name, m[1])
				}
				target = path.Join(path.Dir(p.name), target)
			} else {
				target = p.name
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: link to %s: no such file", p.name, m[1])
			} else if anchor != "" && !slices.Contains(anchors[target], anchor) {
				t.Errorf("%s: link to %s: no such heading in %s", p.name, m[1], target)
			}
		}
	}
}

var namedPath = regexp.MustCompile(`(?:^|[\s(` + "`" + `"])((?:cmd|cpu|docs|format|gpu|internal|kernels|llm|quant|scripts|testdata|verify|web)/[\w./-]*\w)`)

var goName = regexp.MustCompile(`\.[A-Z]\w*$`) // format/model.Spec

// TestDocsFiles looks for every file and package that a page names by its path.
func TestDocsFiles(t *testing.T) {
	// Made by make page and make web; an example that CONTRIBUTING.md takes.
	elsewhere := []string{"web/site", "web/dist", "web/node_modules", "testdata/families/walk"}
	for _, p := range pages(t) {
		for _, m := range namedPath.FindAllStringSubmatch(p.text+p.code, -1) {
			name := goName.ReplaceAllString(m[1], "")
			if slices.ContainsFunc(elsewhere, func(dir string) bool { return strings.HasPrefix(name, dir) }) {
				continue
			}
			_, err := os.Stat(filepath.Join(root, name))
			_, beside := os.Stat(filepath.Join(root, path.Dir(p.name), name))
			if err != nil && beside != nil {
				t.Errorf("%s: %s: no such file", p.name, name)
			}
		}
	}
}

// TestDocsPackages looks for every package in the table of docs/architecture.md, and for every row's package in the
// repository.
func TestDocsPackages(t *testing.T) {
	_, table, _ := strings.Cut(readPage(t, filepath.Join(root, "docs/architecture.md")).text, "| package |")
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []string
	for _, line := range strings.Split(table, "\n")[2:] {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, one := range strings.Split(name, ",") {
			rows = append(rows, strings.TrimSpace(one))
		}
	}
	for _, row := range rows {
		if info, err := os.Stat(filepath.Join(root, row)); err != nil || !info.IsDir() {
			t.Errorf("docs/architecture.md: %s is in the table, but is no directory", row)
		}
	}
	for _, pkg := range packages(t) {
		if !slices.Contains(rows, pkg) && !strings.HasPrefix(pkg, "internal/tools/") {
			t.Errorf("docs/architecture.md: package %s is not in the table", pkg)
		}
	}
}

// packages are the directories with Go files, but for tests.
func packages(t *testing.T) []string {
	t.Helper()
	all := map[string]bool{}
	eachGoFile(t, func(_, pkg string) { all[pkg] = true })
	return slices.Sorted(maps.Keys(all))
}

var kernelRow = regexp.MustCompile(`(?m)^\| ([a-z0-9_, ]+) \|`)

// TestDocsKernels looks for a word about every kernel in docs/kernels.md, and for the kernel of every row of its tables.
func TestDocsKernels(t *testing.T) {
	text := readPage(t, filepath.Join(root, "docs/kernels.md")).text
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for _, m := range kernelRow.FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Split(m[1], ", ") {
			if _, err := os.Stat(filepath.Join(root, "kernels", name+".wgsl")); err != nil && name != "kernel" {
				t.Errorf("docs/kernels.md: %s is in a table, and there is no such kernel", name)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "kernels/*.wgsl"))
	if err != nil || len(files) < 40 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".wgsl"); !slices.Contains(words, name) {
			t.Errorf("docs/kernels.md says nothing of %s.wgsl", name)
		}
	}
}
