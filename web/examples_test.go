package web_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// packed packs the package as npm would publish it, and returns the file and where Node is.
func packed(t *testing.T) (tarball, node string) {
	t.Helper()
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	npm, err := exec.LookPath("npm")
	require(t, err == nil, "npm is missing")
	_, err = os.Stat("dist/index.js")
	require(t, err == nil, "dist is missing: make web")
	dir := t.TempDir()
	command(t, "", npm, "pack", "--ignore-scripts", "--pack-destination", dir)
	tarballs, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(tarballs) != 1 {
		t.Fatalf("npm pack has made %v", tarballs)
	}
	return tarballs[0], node
}

// unpack installs the packed package in a node_modules directory, as npm does.
func unpack(t *testing.T, tarball, modules string) {
	t.Helper()
	to := filepath.Join(modules, "llama-webgpu")
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(modules, 0o777); err != nil {
		t.Fatal(err)
	}
	command(t, modules, "tar", "-xzf", tarball)
	if err := os.Rename(filepath.Join(modules, "package"), to); err != nil {
		t.Fatal(err)
	}
}

// installed packs the package, and installs it in a copy of an example.
func installed(t *testing.T, example string) (dir, node string) {
	t.Helper()
	tarball, node := packed(t)
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("examples", example))); err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(dir, "node_modules")
	unpack(t, tarball, modules)
	for _, name := range []string{"webgpu", "vite"} { // what else the examples depend on
		if abs, err := filepath.Abs(filepath.Join("node_modules", name)); err != nil || os.Symlink(abs, filepath.Join(modules, name)) != nil {
			t.Fatal("cannot link", name)
		}
	}
	return dir, node
}

// command runs a program and returns what it writes to standard output.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	if icd := swiftshader(); icd != "" && os.Getenv("VK_ICD_FILENAMES") == "" {
		cmd.Env = append(cmd.Env, "VK_ICD_FILENAMES="+icd)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// begins is how the text of each example begins.
const begins = "It was a cold morning"

func TestExampleNode(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	dir, node := installed(t, "node")
	out := command(t, dir, node, "main.js", filepath.Join(w.models, "plain"))
	if !strings.HasPrefix(out, begins) || len(out) < 100 || !strings.Contains(out, "tokens/s on") {
		t.Errorf("the example writes %q", out)
	}
}

// served serves a directory, and a bundle in it as models/tiny. Browsers keep nothing of it: the next server may get the same port.
func served(t *testing.T, w *world, dir string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.Handle("/models/tiny/", http.StripPrefix("/models/tiny/", http.FileServer(http.Dir(filepath.Join(w.models, "plain")))))
	return withHeader(t, mux, "Cache-Control", "no-store")
}

func TestExamplePlain(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	dir, _ := installed(t, "plain")
	ctx, cancel := context.WithTimeout(browser(t, withGPU()...), patience)
	defer cancel()
	var text string
	err := chromedp.Run(ctx, chromedp.Navigate(served(t, w, dir)), chromedp.WaitEnabled("#go"), chromedp.Click("#go"),
		chromedp.Poll("document.querySelector('#out').textContent.length > 60", nil), chromedp.Click("#stop"), chromedp.Text("#out", &text))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, begins) {
		t.Errorf("the example writes %q", text)
	}
}

func TestExampleVite(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	dir, node := installed(t, "vite")
	command(t, dir, node, "node_modules/vite/bin/vite.js", "build")
	ctx, cancel := context.WithTimeout(browser(t, withGPU()...), patience)
	defer cancel()
	var text string
	err := chromedp.Run(ctx, chromedp.Navigate(served(t, w, filepath.Join(dir, "dist"))),
		chromedp.WaitVisible(`body[data-state="done"]`, chromedp.ByQuery), chromedp.Text("#out", &text))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, begins) || len(text) < 60 {
		t.Errorf("the example writes %q", text)
	}
}

// TestTypes type-checks a program that uses each entry point, resolved as bundlers do and as Node does.
func TestTypes(t *testing.T) {
	t.Parallel()
	dir, node := installed(t, "plain")
	program := `
import { gpuDevice } from 'llama-webgpu/device';
import { loadModel, deleteCached } from 'llama-webgpu/loader';
import { Transformer, sample } from 'llama-webgpu/transformer';
import { load, LlamaError, type TextModel } from 'llama-webgpu';
import { load as loadInWorker } from 'llama-webgpu/worker';
const device: GPUDevice = await gpuDevice();
const model = await loadModel(device, { manifestUrl: '/m/manifest.json', weightUrl: '/m/model.wgpu' });
const transformer = new Transformer(device, model, { kernelSet: 'int4', maxBatch: 1, maxSeqLen: 2048 });
const id: number = sample(await transformer.forward(model.tokenizer.encode('x')), 0.9);
const models: TextModel[] = [await load('/m/'), await loadInWorker('/m/', { onProgress: (p) => console.log(p.loaded / p.total, id) })];
for await (const text of models[0]!.generate('x', { maxTokens: 1, stop: ['.'] })) text.trim();
try { await deleteCached('/m/'); } catch (e) { if (e instanceof LlamaError && e.code === 'aborted') throw e; }
// @ts-expect-error there is no such format
new Transformer(device, model, { kernelSet: 'int3' });
`
	if err := os.WriteFile(filepath.Join(dir, "program.ts"), []byte(program), 0o666); err != nil {
		t.Fatal(err)
	}
	tsc, err := filepath.Abs("node_modules/typescript/bin/tsc")
	if err != nil {
		t.Fatal(err)
	}
	for module, resolution := range map[string]string{"ESNext": "Bundler", "Node16": "Node16"} {
		command(t, dir, node, tsc, "--noEmit", "--strict", "--target", "ES2022", "--module", module, "--moduleResolution", resolution, "--types", "", "program.ts")
	}
}
