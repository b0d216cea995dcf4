package web_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"
)

// TestPlaces runs a small page in all the places where pages, scripts and the files beside them may be, in one browser.
func TestPlaces(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	tarball, node := packed(t)
	profile := extension(t, w, tarball)
	ctx := browser(t, append(withGPU(), chromedp.Flag("load-extension", profile.dir))...)
	dir := t.TempDir() // a project with the package installed
	source(t, "web", dir)
	unpack(t, tarball, filepath.Join(dir, "node_modules"))
	pkg := filepath.Join(dir, "node_modules/llama-webgpu/dist")

	t.Run("another origin", func(t *testing.T) {
		cdn := withHeader(t, http.FileServer(http.Dir(pkg)), "Access-Control-Allow-Origin", "*")
		checkWrote(t, ctx, served(t, w, plainPage(t, cdn))+"/?both")
	})
	t.Run("frames", func(t *testing.T) {
		testFrames(t, ctx, w, pkg)
	})
	t.Run("extension", func(t *testing.T) {
		checkWrote(t, ctx, profile.url)
	})
	t.Run("esbuild, modules", func(t *testing.T) {
		out := t.TempDir()
		esbuild(t, dir, out, api.FormatESModule)
		copyFile(t, filepath.Join(pkg, "llama-webgpu.wasm"), filepath.Join(out, "llama-webgpu.wasm"))
		checkWrote(t, ctx, served(t, w, out))
	})
	t.Run("esbuild, script, served with node_modules", func(t *testing.T) {
		esbuild(t, dir, filepath.Join(dir, "built"), api.FormatIIFE)
		checkWrote(t, ctx, served(t, w, dir)+"/built/?both")
	})
	t.Run("Rollup", func(t *testing.T) {
		linkModules(t, dir, "rollup", "@rollup")
		p := project{dir: "web", build: []string{"node_modules/rollup/dist/bin/rollup", "start.js", "-p", "node-resolve", "-d", "dist", "--silent"}, output: "dist", copies: []string{"llama-webgpu.wasm"}}
		p.make(t, node, dir)
		checkWrote(t, ctx, served(t, w, filepath.Join(dir, "dist")))
	})
	t.Run("Vite's development server, in a workspace", func(t *testing.T) {
		linkModules(t, dir, "vite")
		app := filepath.Join(dir, "app") // the package is installed above the project
		source(t, "web", app)
		for name, text := range map[string]string{"package.json": `{"private": true, "workspaces": ["app"]}`, "app/package.json": `{"private": true, "type": "module"}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		server := project{server: []string{"../node_modules/vite/bin/vite.js", "--port", "PORT", "--strictPort"}}
		checkWrote(t, ctx, server.serve(t, w, node, app))
	})
	t.Run("errors", func(t *testing.T) {
		testPlaceErrors(t, ctx, w, dir, pkg)
	})
}

// esbuild bundles the project in dir without any configuration.
func esbuild(t *testing.T, dir, out string, format api.Format) {
	t.Helper()
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: dir, EntryPoints: []string{"start.js"}, Bundle: true, Outdir: out, Format: format, Write: true,
		LogLevel: api.LogLevelSilent,
	})
	if len(result.Errors) > 0 {
		t.Fatal(result.Errors)
	}
	copyFile(t, filepath.Join(dir, "index.html"), filepath.Join(out, "index.html"))
}

// linkModules links packages of web/node_modules into a project's.
func linkModules(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		abs, err := filepath.Abs(filepath.Join("node_modules", name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(abs)
		require(t, err == nil, abs+" is missing: npm ci")
		if err := os.Symlink(abs, filepath.Join(dir, "node_modules", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// withHeader serves a handler's answers with one header more, and returns the address.
func withHeader(t *testing.T, h http.Handler, name, value string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(name, value)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// plainPage makes a directory with a page that needs no bundler: it imports the package's files from `from`.
func plainPage(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	source(t, "web", dir)
	name := filepath.Join(dir, "main.js")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	imports := strings.NewReplacer("'llama-webgpu'", "'"+from+"/index.js'", "'llama-webgpu/worker'", "'"+from+"/worker.js'")
	if err := os.WriteFile(name, []byte(imports.Replace(string(text))), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// testFrames runs the page in frames: of another origin, without an address of its own, and in a sandbox, where browsers
// have no WebGPU unless it keeps its origin.
func testFrames(t *testing.T, ctx context.Context, w *world, pkg string) {
	dir := plainPage(t, "./llama-webgpu")
	if err := os.CopyFS(filepath.Join(dir, "llama-webgpu"), os.DirFS(pkg)); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.Handle("/models/tiny/", http.StripPrefix("/models/tiny/", http.FileServer(http.Dir(filepath.Join(w.models, "plain")))))
	mux.HandleFunc("/frame.html", func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(rw, `<!doctype html><pre id="out"></pre><script>
			addEventListener('message', (e) => { out.textContent = e.data.text; document.body.dataset.state = e.data.state; });
			</script><iframe %s></iframe>`, r.FormValue("attributes"))
	})
	here, there := withHeader(t, mux, "Access-Control-Allow-Origin", "*"), withHeader(t, mux, "Access-Control-Allow-Origin", "*")
	inner := `<pre id=out></pre><script type=module src=` + here + `/start.js></script>`
	open := func(attributes string) string { return here + "/frame.html?attributes=" + url.QueryEscape(attributes) }
	t.Run("another origin", func(t *testing.T) { checkWrote(t, ctx, open(`src="`+there+`/"`)) })
	t.Run("srcdoc in a sandbox", func(t *testing.T) {
		checkWrote(t, ctx, open(`sandbox="allow-scripts allow-same-origin" srcdoc="`+inner+`"`))
	})
	t.Run("sandbox without an origin", func(t *testing.T) {
		const want = `webgpu-unavailable: WebGPU needs a secure page, which a sandboxed frame is only with sandbox="allow-scripts allow-same-origin"`
		if _, err := wrote(t, ctx, open(`sandbox="allow-scripts" src="/"`)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	})
}

// unpacked is an extension and the address of its page.
type unpacked struct{ dir, url string }

// extension makes an extension with the page and the package's files, and the bundle, which a browser loads from dir.
// Extensions may start no Worker from a blob, and evaluate no text.
func extension(t *testing.T, w *world, tarball string) unpacked {
	t.Helper()
	dir := plainPage(t, "./node_modules/llama-webgpu/dist")
	unpack(t, tarball, filepath.Join(dir, "node_modules"))
	if err := os.CopyFS(filepath.Join(dir, "models/tiny"), os.DirFS(filepath.Join(w.models, "plain"))); err != nil {
		t.Fatal(err)
	}
	manifest := `{"manifest_version": 3, "name": "llama-webgpu in an extension", "version": "1.0",
		"content_security_policy": {"extension_pages": "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'"}}`
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(manifest), 0o666); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := []byte(fmt.Sprintf("%x", sha256.Sum256([]byte(real)))[:32]) // Chromium's: of the path, with the digits a to p
	for i, c := range id {
		if c <= '9' {
			id[i] = c - '0' + 'a'
		} else {
			id[i] = c + 10
		}
	}
	return unpacked{real, "chrome-extension://" + string(id) + "/index.html"}
}

// testPlaceErrors opens pages that cannot find a file, and reads what they say.
func testPlaceErrors(t *testing.T, ctx context.Context, w *world, dir, pkg string) {
	out := t.TempDir()
	esbuild(t, dir, out, api.FormatESModule)
	home, err := os.ReadFile(filepath.Join(out, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	files := http.FileServer(http.Dir(out))
	policy := ""
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Security-Policy", policy)
		rw.Header().Set("Cache-Control", "no-store") // the same page comes with another policy
		if _, err := os.Stat(filepath.Join(out, filepath.FromSlash(r.URL.Path))); err != nil {
			_, _ = rw.Write(home) // as a host of single-page apps does
			return
		}
		files.ServeHTTP(rw, r)
	})
	mux.Handle("/models/tiny/", http.StripPrefix("/models/tiny/", http.FileServer(http.Dir(filepath.Join(w.models, "plain")))))
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, c := range []struct{ name, policy, want string }{
		{"no WebAssembly", "", "not-found: The WebAssembly of llama-webgpu was not found. Copy node_modules/llama-webgpu/dist/llama-webgpu.wasm"},
		{"no Worker", "script-src 'self' 'wasm-unsafe-eval'", "not-found: The Worker of llama-webgpu could not be started"},
		{"no policy for WebAssembly", "script-src 'self'; worker-src blob:", "invalid-argument: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy = c.policy
			if policy != "" { // now it is there
				copyFile(t, filepath.Join(pkg, "llama-webgpu.wasm"), filepath.Join(out, "llama-webgpu.wasm"))
			}
			_, err := wrote(t, ctx, s.URL)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that contains %q", err, c.want)
			}
		})
	}
}
