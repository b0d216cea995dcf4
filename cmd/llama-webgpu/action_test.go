package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/llama-webgpu/llama-webgpu/format/hub/hubtest"
)

// action is action.yml, as far as running it goes.
type action struct {
	Inputs map[string]struct{ Default string }
	Runs   struct{ Steps []step }
}

type step struct {
	Name, ID, If, Uses, Run string
	Env                     map[string]string
}

// job is a machine of a CI system: a directory, an environment, and what steps told each other.
type job struct {
	t       *testing.T
	dir     string
	inputs  map[string]string
	outputs map[string]string // step.name → value
	env     []string
}

// newJob serves a release with this very program and a hub with testdata/tiny.
func newJob(t *testing.T, inputs map[string]string) *job {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("wants bash")
	}
	tiny, err := filepath.Abs("../../testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	hub := httptest.NewServer(&hubtest.Hub{Repos: map[string]string{"llama-webgpu/tiny": tiny}})
	releases := httptest.NewServer(http.StripPrefix("/v"+version, http.FileServer(http.Dir(releaseDir(t)))))
	t.Cleanup(func() { hub.Close(); releases.Close() })
	j := &job{t: t, dir: t.TempDir(), inputs: inputs, outputs: map[string]string{}}
	j.inputs["releases"] = releases.URL
	j.env = append(os.Environ(), "RUNNER_TEMP="+j.dir, "HF_ENDPOINT="+hub.URL, "HF_HOME="+filepath.Join(j.dir, "hf"), "HF_TOKEN=")
	return j
}

// releaseDir holds what a release is downloaded from: a program that starts the one under test, and its checksum.
func releaseDir(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("llama-webgpu")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nexec %q \"$@\"\n", program)
	name := fmt.Sprintf("llama-webgpu-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH)
	var data bytes.Buffer
	packed := gzip.NewWriter(&data)
	w := tar.NewWriter(packed)
	err = w.WriteHeader(&tar.Header{Name: name + "/llama-webgpu", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))})
	_, werr := w.Write([]byte(text))
	dir := t.TempDir()
	err = errors.Join(err, werr, w.Close(), packed.Close(), os.WriteFile(filepath.Join(dir, name+".tar.gz"), data.Bytes(), 0o666),
		os.WriteFile(filepath.Join(dir, "SHA256SUMS"), fmt.Appendf(nil, "%x  other.zip\n%x  %s.tar.gz\n", [32]byte{}, sha256.Sum256(data.Bytes()), name), 0o666))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// expressions are what stands between ${{ and }}.
var expressions = regexp.MustCompile(`\$\{\{ *([a-z0-9.-]+) *\}\}`)

// value computes text with expressions in it.
func (j *job) value(text string) string {
	return expressions.ReplaceAllStringFunc(text, func(e string) string {
		name := expressions.FindStringSubmatch(e)[1]
		if input, ok := strings.CutPrefix(name, "inputs."); ok {
			value, known := j.inputs[input]
			if !known {
				j.t.Fatalf("%s: there is no such input", e)
			}
			return value
		}
		value, ok := j.outputs[name]
		if !ok {
			j.t.Fatalf("%s: no step has said that", e)
		}
		return value
	})
}

// wanted computes the condition of a step.
func (j *job) wanted(condition string) bool {
	switch condition {
	case "":
		return true
	case "inputs.device == 'gpu'":
		return j.inputs["device"] == "gpu"
	}
	j.t.Fatalf("if: %s: this test cannot compute that", condition)
	return false
}

// run runs a step the way that a runner does.
func (j *job) run(s step) (text string, err error) {
	file := func(name string) string { return filepath.Join(j.dir, "github-"+name) }
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
	cmd.Dir, cmd.Env = j.dir, append(j.env, "GITHUB_OUTPUT="+file("output"), "GITHUB_PATH="+file("path"), "GITHUB_STEP_SUMMARY="+file("summary"))
	for name, value := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+j.value(value))
	}
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(j.read("github-output")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		j.outputs["steps."+s.ID+".outputs."+name] = value
	}
	if path := strings.TrimSpace(j.read("github-path")); path != "" {
		j.env = append(j.env, "PATH="+path+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return string(out), errors.Join(err, os.RemoveAll(file("output")), os.RemoveAll(file("path")))
}

// read returns a file's text, "" if there is none.
func (j *job) read(name string) string {
	data, err := os.ReadFile(filepath.Join(j.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		j.t.Fatal(err)
	}
	return string(data)
}

func readYAML(t *testing.T, text []byte, to any) {
	t.Helper()
	if err := yaml.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

// TestAction runs the steps of action.yml as scripts, on the hub's model and on a directory, with a bundle that passes and
// with one that fails.
func TestAction(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var a action
	readYAML(t, data, &a)
	if got := a.Inputs["version"].Default; got != version {
		t.Errorf("the default version is %s, this is %s", got, version)
	}
	for _, test := range []struct {
		name   string
		inputs map[string]string
		pass   bool
	}{
		{"passes", map[string]string{"model": "llama-webgpu/tiny", "windows": "2", "verify-args": "--window-tokens 64 --runtime-tokens 16 --min-top1 0.5 --generate 4"}, true},
		{"fails", map[string]string{"model": "llama-webgpu/tiny@v1", "device": "cpu", "max-kld": "1e-9", "windows": "1", "verify-args": "--window-tokens 64 --runtime-tokens 8 --generate 4", "quantize-args": "--block-size 128"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, input := range a.Inputs {
				if _, set := test.inputs[name]; !set {
					test.inputs[name] = input.Default
				}
			}
			j := newJob(t, test.inputs)
			text, code := j.all(a.Runs.Steps)
			if pass := j.outputs["steps.verify.outputs.pass"]; pass != fmt.Sprint(test.pass) || (code == nil) != test.pass {
				t.Fatalf("pass: %q, %v\n%s", pass, code, text)
			}
			if kld := j.outputs["steps.verify.outputs.mean-kld"]; !strings.HasPrefix(kld, "0.") {
				t.Errorf("mean-kld: %q", kld)
			}
			verdict := map[bool]string{true: "✅ passes", false: "❌ fails"}[test.pass]
			if summary := j.read("github-summary"); !strings.HasPrefix(summary, "### llama-webgpu-bundle "+verdict) {
				t.Errorf("the summary is\n%s", summary)
			}
			for _, name := range []string{"report.html", "report.json", "junit.xml"} {
				if j.read(filepath.Join("llama-webgpu-report", name)) == "" {
					t.Errorf("%s is not there", name)
				}
			}
		})
	}
}

// all runs the steps with a script up to one that fails.
func (j *job) all(steps []step) (text string, err error) {
	for _, s := range steps {
		if s.Uses != "" || !j.wanted(s.If) {
			continue
		}
		var out string
		out, err = j.run(s)
		text += "# " + s.Name + "\n" + out
		if err != nil {
			return text, err
		}
	}
	return text, nil
}

// blocks are the YAML in a page.
var blocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestGitLab runs the job in docs/ci.md, but for the packages that it installs.
func TestGitLab(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Job struct {
			Variables    map[string]string
			BeforeScript []string `yaml:"before_script"`
			Script       []string
		} `yaml:"verify-model"`
	}
	for _, m := range blocks.FindAllSubmatch(page, -1) {
		if bytes.Contains(m[1], []byte("verify-model:")) {
			readYAML(t, m[1], &config)
		}
	}
	if config.Job.Variables["VERSION"] != version || !bytes.Contains(page, []byte("llama-webgpu/llama-webgpu@v"+version+"\n")) {
		t.Errorf("docs/ci.md does not name version %s", version)
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the job is for linux/amd64")
	}
	j := newJob(t, map[string]string{})
	j.env = append(j.env, "CI_PROJECT_DIR="+j.dir, "VERSION="+version)
	lines := append(config.Job.BeforeScript, config.Job.Script...)
	for i, line := range lines {
		if strings.HasPrefix(line, "apt-get ") {
			lines[i] = "true"
		}
		lines[i] = strings.ReplaceAll(lines[i], "verify bundle", "verify bundle --window-tokens 64 --runtime-tokens 16 --min-top1 0.5 --generate 4")
	}
	out, err := j.run(step{Run: strings.Join(lines, "\n"), Env: map[string]string{"MODEL": "llama-webgpu/tiny", "RELEASES": j.inputs["releases"]}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if summary := j.read("report/summary.md"); !strings.HasPrefix(summary, "### bundle ✅ passes") {
		t.Errorf("the summary is\n%s", summary)
	}
}
