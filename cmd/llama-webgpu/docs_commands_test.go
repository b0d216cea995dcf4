package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/verify"
)

var (
	makeLine   = regexp.MustCompile(`(?:^|[\s$(;&])make ([a-z][a-z0-9-]*)`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

// TestDocsMake looks for every target that a page has make run.
func TestDocsMake(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, m[1])
	}
	for _, p := range pages(t) {
		for _, m := range makeLine.FindAllStringSubmatch(p.spans+"\n"+p.code, -1) {
			if !slices.Contains(targets, m[1]) {
				t.Errorf("%s: make %s: the Makefile has no such target", p.name, m[1])
			}
		}
	}
}

// flagNames are a command's flags, or those of the program, with their dashes.
func flagNames(flags []cli.Flag) []string {
	names := []string{"--help", "-h"}
	for _, f := range flags {
		for _, name := range f.Names() {
			names = append(names, strings.Repeat("-", min(len(name), 2))+name)
		}
	}
	return names
}

// flagsOf maps each command to its flags; those of the program are under "".
func flagsOf(app *cli.App) map[string][]string {
	all := map[string][]string{"": append(flagNames(app.Flags), "--version", "-v")}
	for _, c := range app.Commands {
		all[c.Name] = flagNames(c.Flags)
	}
	return all
}

// All of ours are --long-words or single letters.
var flagWord = regexp.MustCompile(`(?:^|\s|\[)(--[a-z][a-z0-9-]*|-[a-z])(?:$|[\s=\]])`)

// wrongFlag returns the first flag of a command line that the command does not have.
func wrongFlag(line string, flags []string) string {
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " && ")
	line = regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(line, "X")
	for _, m := range flagWord.FindAllStringSubmatch(strings.ReplaceAll(line, " ", "  "), -1) {
		if !slices.Contains(flags, m[1]) {
			return m[1]
		}
	}
	return ""
}

var ourLine = regexp.MustCompile(`(?:^|[\s$(])(npx )?llama-webgpu ([a-z]+)((?:[^\n#)]|\\\n)*)`)

// TestDocsCommands looks at every command line of the program in the docs and in its help: the command is one, and it
// has these flags.
func TestDocsCommands(t *testing.T) {
	app := newApp()
	flags := flagsOf(app)
	texts := map[string]string{"llama-webgpu help": app.Description}
	for _, c := range app.Commands {
		texts["llama-webgpu "+c.Name+" --help"] = c.Description
	}
	for _, p := range pages(t) {
		texts[p.name] = p.spans + "\n" + p.code
	}
	lines := 0
	for name, text := range texts {
		for _, m := range ourLine.FindAllStringSubmatch(strings.ReplaceAll(text, "\\\n", " "), -1) {
			if m[1] != "" {
				continue // the npm package's command
			}
			lines++
			if known, ok := flags[m[2]]; !ok && m[2] != "help" {
				t.Errorf("%s: llama-webgpu %s: no such command", name, m[2])
			} else if wrong := wrongFlag(m[3], known); ok && wrong != "" {
				t.Errorf("%s: llama-webgpu %s has no flag %s", name, m[2], wrong)
			}
		}
	}
	if lines < 100 {
		t.Errorf("found only %d command lines", lines)
	}
}

// foreign are flags of other programs that stand alone in the pages.
var foreign = []string{"--features"}

// TestDocsFlags looks for every flag that stands alone in a page or in a help text.
func TestDocsFlags(t *testing.T) {
	app := newApp()
	var any []string
	for _, flags := range flagsOf(app) {
		any = append(any, flags...)
	}
	texts := map[string]string{}
	for _, p := range pages(t) {
		for _, s := range strings.Split(p.spans, "\n") {
			if word, _, _ := strings.Cut(s, " "); strings.HasPrefix(word, "-") || flagsOf(app)[word] != nil {
				texts[p.name] += s + "\n"
			}
		}
	}
	for _, c := range app.Commands {
		text := c.Description
		for _, f := range c.Flags {
			if d, ok := f.(cli.DocGenerationFlag); ok {
				text += "\n" + d.GetUsage()
			}
		}
		text = regexp.MustCompile(`(?m)^  .*`).ReplaceAllString(text, "") // examples, which TestDocsCommands reads
		texts[c.Name+" --help"] = regexp.MustCompile(`[,.:;]`).ReplaceAllString(text, " ")
	}
	for name, text := range texts {
		for line := range strings.Lines(text) {
			if wrong := wrongFlag(line, append(any, foreign...)); wrong != "" {
				t.Errorf("%s: %s: no command has this flag", name, wrong)
			}
		}
	}
}

var (
	goTest   = regexp.MustCompile(`go test [^\n#]*`)
	testName = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz|Example)\w+)`)
)

// TestDocsGoTest looks for the tests and benchmarks that pages name: -run and -bench match at least one of the
// packages'.
func TestDocsGoTest(t *testing.T) {
	for _, p := range pages(t) {
		for _, line := range goTest.FindAllString(p.spans+"\n"+p.code, -1) {
			line = regexp.MustCompile(`-exec "[^"]*(\([^)]*\))?[^"]*"`).ReplaceAllString(line, "")
			words := strings.Fields(line)
			var names []string
			for _, w := range words {
				if dir, ok := strings.CutPrefix(w, "./"); ok {
					names = append(names, testsIn(t, p.name, dir)...)
				}
			}
			flag, pattern := "-bench", after(words, "-bench")
			if pattern == "" {
				flag, pattern = "-run", after(words, "-run")
			}
			if pattern == "" {
				continue
			}
			kind := map[string]string{"-run": "Test", "-bench": "Benchmark"}[flag]
			pattern, _, _ = strings.Cut(strings.Trim(pattern, "'"), "/")
			if !slices.ContainsFunc(names, func(name string) bool {
				return strings.HasPrefix(name, kind) && regexp.MustCompile(pattern).MatchString(name)
			}) {
				t.Errorf("%s: %s: %s matches nothing there", p.name, line, flag)
			}
		}
	}
}

func after(words []string, flag string) string {
	if i := slices.Index(words, flag); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// testsIn returns the names of a package's tests and benchmarks; dir may end in "...".
func testsIn(t *testing.T, page, dir string) []string {
	t.Helper()
	if strings.HasSuffix(dir, "...") {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s: ./%s: no tests there", page, dir)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

var duration = regexp.MustCompile(`written in [\d.]+ s`)

// shown fails unless README.md shows what the last command printed, but for the time that it took.
func shown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: shown")
	}
	readme, err := os.ReadFile(filepath.Join(ts.Getenv("TESTDATA"), "../README.md"))
	ts.Check(err)
	plain := func(text string) string {
		text = regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAllString(text, "")
		return duration.ReplaceAllString(text, "written")
	}
	if text := plain(ts.ReadFile("stdout") + ts.ReadFile("stderr")); !strings.Contains(plain(string(readme)), text) {
		ts.Fatalf("README.md does not show this; make readme puts it there:\n%s", text)
	}
}

// TestLimitsHelp holds what verify's help says of default thresholds to those it has: a number if all bundles have it.
func TestLimitsHelp(t *testing.T) {
	limits := func(m verify.Made) map[string]float64 {
		l, err := verify.DefaultThresholds(m)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]float64{
			"max-rel-rms": l.MaxRelRMS, "max-rel-max": l.MaxRelMax, "max-kld": l.MaxKLD, "min-top1": l.MinTop1,
			"golden-max-abs": l.GoldenMaxAbs, "golden-max-kld": l.GoldenMaxKLD,
		}
	}
	one, other := limits(verify.Made{Format: "int8"}), limits(verify.Made{Format: "int2", Weights: 1e6})
	seen := 0
	for _, f := range verifyCommand.Flags {
		f, ok := f.(*cli.Float64Flag)
		if !ok || f.Category != "Thresholds" {
			continue
		}
		seen++
		want := byMade
		if one[f.Name] == other[f.Name] {
			want = strconv.FormatFloat(one[f.Name], 'f', -1, 64)
		}
		if f.DefaultText != want {
			t.Errorf("--%s: the help says that its default is %s; it is %s", f.Name, f.DefaultText, want)
		}
	}
	if seen != len(one) {
		t.Errorf("verify has %d thresholds, this test knows %d", seen, len(one))
	}
}
