package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hub/hubtest"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"llama-webgpu": main})
}

// TestScripts runs the command as people do. $TINY is the checkpoint that comes with the source,
// $TESTDATA the folder that it is in, $FAMILIES that of the families' checkpoints, $HUB a hub that has it.
func TestScripts(t *testing.T) {
	tiny, err := filepath.Abs("../../testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	families := fixture.Families(t)
	server := httptest.NewServer(&hubtest.Hub{Repos: map[string]string{"llama-webgpu/tiny": tiny}, Token: "secret"})
	t.Cleanup(server.Close) // scripts run in parallel, after this function's end
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TINY", tiny)
			e.Setenv("HUB", server.URL)
			e.Setenv("TESTDATA", filepath.Dir(tiny))
			e.Setenv("FAMILIES", families)
			for _, kv := range os.Environ() { // which driver to use is a matter of the machine
				if strings.HasPrefix(kv, "VK_") || strings.HasPrefix(kv, "XDG_") {
					e.Vars = append(e.Vars, kv)
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "empty": empty, "replace": replace, "flip": flip, "spoil": spoil, "samevalue": sameValue, "near": near, "gguf": makeGGUF, "shown": shown,
		},
	})
}

// exits CODE PROGRAM ARG… runs a program that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// empty DIR fails if anything is in the directory.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	left, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("%s: has %v", args[0], left)
	}
}

// replace FILE OLD NEW changes the first OLD in a file; \n is the end of a line.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text, lines := ts.ReadFile(args[0]), strings.NewReplacer(`\n`, "\n")
	before, after, found := strings.Cut(text, lines.Replace(args[1]))
	if !found {
		ts.Fatalf("%s: no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(before+lines.Replace(args[2])+after), 0o666))
}

// flip DIR TENSOR turns over a bit in the middle of a tensor of a bundle.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip DIR TENSOR")
	}
	change(ts, args[0], args[1], false, func(data []byte) { data[len(data)/2] ^= 0x10 })
}

// spoil DIR TENSOR makes the first scale of a tensor of a bundle NaN, and its hash right again.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spoil DIR TENSOR")
	}
	change(ts, args[0], args[1], true, func(data []byte) { data[0], data[1] = 0x00, 0x7e })
}

// sameValue KEY FILE FILE fails if the values that two JSON files first have of a key differ.
func sameValue(ts *testscript.TestScript, neg bool, args []string) {
	if a, b := values(ts, neg, args); a != b {
		ts.Fatalf("%s: %s and %s", args[0], a, b)
	}
}

// near KEY FILE FILE fails if they differ by more than a hundredth.
func near(ts *testscript.TestScript, neg bool, args []string) {
	text, others := values(ts, neg, args)
	a, errA := strconv.ParseFloat(text, 64)
	b, errB := strconv.ParseFloat(others, 64)
	ts.Check(errors.Join(errA, errB))
	if !(math.Abs(a-b) <= 0.01*math.Abs(a)) {
		ts.Fatalf("%s: %v and %v", args[0], a, b)
	}
}

// values returns what two JSON files first have of a key.
func values(ts *testscript.TestScript, neg bool, args []string) (a, b string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: samevalue or near KEY FILE FILE")
	}
	var values [2]string
	for i, file := range args[1:] {
		_, after, found := strings.Cut(ts.ReadFile(file), `"`+args[0]+`": `)
		if !found {
			ts.Fatalf("%s: no %q", file, args[0])
		}
		values[i], _, _ = strings.Cut(after, ",")
	}
	return values[0], values[1]
}

// change lets edit change the bytes of a tensor of a bundle.
func change(ts *testscript.TestScript, dir, name string, rehash bool, edit func(data []byte)) {
	dir = ts.MkAbs(dir)
	manifest, err := os.ReadFile(filepath.Join(dir, bundle.ManifestName))
	ts.Check(err)
	m, err := bundle.ParseManifest(manifest)
	ts.Check(err)
	path := filepath.Join(dir, bundle.BlobName)
	blob, err := os.ReadFile(path)
	ts.Check(err)
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if t.Name != name {
			continue
		}
		data := blob[t.Offset : t.Offset+t.Length]
		edit(data)
		if rehash {
			sum := sha256.Sum256(data)
			manifest = []byte(strings.Replace(string(manifest), t.SHA256, hex.EncodeToString(sum[:]), 1))
		}
		ts.Check(os.WriteFile(path, blob, 0o666))
		ts.Check(os.WriteFile(filepath.Join(dir, bundle.ManifestName), manifest, 0o666))
		return
	}
	ts.Fatalf("%s: no tensor %q", dir, name)
}

// output runs a command line in this process and returns what it writes to standard output.
func output(ctx context.Context, t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	app := newApp()
	app.Writer = &out
	err := app.RunContext(ctx, append([]string{"llama-webgpu"}, args...))
	return out.String(), err
}
