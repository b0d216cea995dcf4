package hub_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/format/hub"
	"github.com/llama-webgpu/llama-webgpu/format/hub/hubtest"
)

// weights are enough bytes to be stored as Git LFS stores them, in several pieces.
var weights = bytes.Repeat([]byte("0123456789abcdef"), 1<<15)

// checkpoint has what a repository has, and more than a converter reads.
var checkpoint = map[string]string{
	"config.json": `{"model_type":"llama"}`, "tokenizer.json": "{}", "model.safetensors": string(weights), "README.md": "# A model",
	"consolidated.safetensors": "a copy", "pytorch_model.bin": "a copy", "onnx/model.safetensors": "another", "additional_chat_templates/tools.jinja": "{{x}}",
}

func repo(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o777), os.WriteFile(at, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start serves h and returns a client of it with an empty cache.
func start(t *testing.T, h *hubtest.Hub) *hub.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &hub.Client{Endpoint: server.URL, Cache: t.TempDir(), Wait: 5 * time.Second, Pause: time.Millisecond}
}

func parse(t *testing.T, text string) hub.Name {
	t.Helper()
	n, err := hub.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read returns the files of a snapshot, by path.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		data, err := os.ReadFile(path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFetch(t *testing.T) {
	h := &hubtest.Hub{Repos: map[string]string{"some/model": repo(t, checkpoint)}, Page: 3}
	c := start(t, h)
	var done, total int64
	c.Progress = func(d, t int64) { done, total = d, t }
	s, err := c.Fetch(t.Context(), parse(t, "some/model"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors", "additional_chat_templates/tools.jinja"} {
		want[name] = checkpoint[name]
	}
	if diff := cmp.Diff(want, read(t, s.Path)); diff != "" {
		t.Error(diff)
	}
	if done != total || total != s.Fetched || total < int64(len(weights)) {
		t.Errorf("progress ended at %d of %d; %d bytes fetched", done, total, s.Fetched)
	}
	before := len(h.Requests())
	again, err := c.Fetch(t.Context(), parse(t, "some/model@v1"))
	if err != nil || again.Fetched != 0 || again.Path != s.Path {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	for _, r := range h.Requests()[before:] {
		if strings.Contains(r.URL.Path, "/resolve/") {
			t.Errorf("%s was downloaded again", r.URL.Path)
		}
	}
	c.Offline, c.Endpoint = true, "http://127.0.0.1:1"
	for _, name := range []string{"some/model", "some/model@v1", "some/model@" + hubtest.Commit} {
		if got, err := c.Fetch(t.Context(), parse(t, name)); err != nil || got.Path != s.Path {
			t.Errorf("%s offline: %+v, %v", name, got, err)
		}
	}
	if _, err := c.Fetch(t.Context(), parse(t, "other/model")); err == nil || !strings.Contains(err.Error(), "not in the cache") {
		t.Errorf("offline, not in the cache: %v", err)
	}
}

// TestToken sends the token to the hub, and not to the storage that it redirects to.
func TestToken(t *testing.T) {
	h := &hubtest.Hub{Repos: map[string]string{"some/model": repo(t, checkpoint)}, Token: "secret"}
	storage := httptest.NewServer(h)
	defer storage.Close()
	h.Storage = storage.URL
	c := start(t, h)
	if _, err := c.Fetch(t.Context(), parse(t, "some/model")); err == nil || !strings.Contains(err.Error(), "HF_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
	c.Token = "secret"
	if _, err := c.Fetch(t.Context(), parse(t, "some/model")); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for _, r := range h.Requests() {
		if strings.HasPrefix(r.URL.Path, "/storage/") {
			stored++
			if r.Header.Get("Authorization") != "" {
				t.Error("the token went to the storage")
			}
		}
	}
	if stored == 0 {
		t.Error("nothing came from the storage")
	}
}

// TestInterrupted breaks connections off, answers that it is busy, and ignores ranges: the file is the same in the end.
func TestInterrupted(t *testing.T) {
	half := len(weights) / 2
	for name, misbehave := range map[string]func(w http.ResponseWriter, r *http.Request, n int32) bool{
		"breaks off": func(w http.ResponseWriter, r *http.Request, n int32) bool {
			if n%2 == 0 {
				return false
			}
			w.Header().Set("Content-Length", "524288")
			_, _ = w.Write(weights[:half])
			panic(http.ErrAbortHandler)
		},
		"is busy": func(w http.ResponseWriter, r *http.Request, n int32) bool {
			if n < 3 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return n < 3
		},
		"knows no ranges": func(w http.ResponseWriter, r *http.Request, n int32) bool {
			if n == 1 {
				_, _ = w.Write(weights[:half])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(weights)
			return true
		},
		"sends another file first": func(w http.ResponseWriter, r *http.Request, n int32) bool {
			if n == 1 {
				_, _ = w.Write(bytes.ToUpper(weights))
			}
			return n == 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			c := start(t, &hubtest.Hub{Repos: map[string]string{"some/model": repo(t, checkpoint)}, Serve: func(w http.ResponseWriter, r *http.Request, path string) bool {
				return strings.HasSuffix(path, "/model.safetensors") && misbehave(w, r, n.Add(1))
			}})
			var done, total int64
			c.Progress = func(d, t int64) { done, total = d, t }
			s, err := c.Fetch(t.Context(), parse(t, "some/model"))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, s.Path)["model.safetensors"]; got != string(weights) {
				t.Errorf("%d bytes that are not the file", len(got))
			}
			if n.Load() < 2 || done != total {
				t.Errorf("%d requests; progress ended at %d of %d", n.Load(), done, total)
			}
		})
	}
}

// TestResumed goes on with a download that a process left, and fetches the rest alone.
func TestResumed(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var begun atomic.Bool
	h := &hubtest.Hub{Repos: map[string]string{"some/model": repo(t, checkpoint)}}
	var c *hub.Client
	h.Serve = func(w http.ResponseWriter, r *http.Request, path string) bool {
		if !strings.HasSuffix(path, "/model.safetensors") || begun.Swap(true) {
			return false
		}
		_, _ = w.Write(weights[:1<<18])
		w.(http.Flusher).Flush()
		for kept := false; !kept && r.Context().Err() == nil; time.Sleep(time.Millisecond) {
			parts, _ := filepath.Glob(filepath.Join(c.Cache, "*", "blobs", "*.incomplete")) // the pattern is valid
			kept = slices.ContainsFunc(parts, func(part string) bool {
				info, err := os.Stat(part)
				return err == nil && info.Size() > 1<<10 // more than the other files have
			})
		}
		stop()
		<-r.Context().Done()
		return true
	}
	c = start(t, h)
	if _, err := c.Fetch(ctx, parse(t, "some/model")); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	if snapshots, _ := filepath.Glob(filepath.Join(c.Cache, "*", "snapshots", "*")); len(snapshots) > 0 {
		t.Errorf("half a snapshot: %v", snapshots)
	}
	s, err := c.Fetch(t.Context(), parse(t, "some/model"))
	if err != nil {
		t.Fatal(err)
	}
	if read(t, s.Path)["model.safetensors"] != string(weights) {
		t.Error("not the file")
	}
	asked := h.Requests()
	last := asked[len(asked)-1]
	for _, r := range asked { // other files may come after it
		if strings.HasSuffix(r.URL.Path, "/model.safetensors") {
			last = r
		}
	}
	if got := last.Header.Get("Range"); !strings.HasPrefix(got, "bytes=") || got == "bytes=0-" {
		for _, r := range asked {
			t.Log(r.Method, r.URL.Path, r.Header.Get("Range"))
		}
		t.Errorf("the rest was asked for with Range %q", got)
	}
}

func TestRefused(t *testing.T) {
	gguf := repo(t, map[string]string{"m-Q4_0.gguf": "4", "m-Q8_0-00001-of-00002.gguf": "8a", "m-Q8_0-00002-of-00002.gguf": "8b", "mmproj-m.gguf": "v"})
	damaged := func(w http.ResponseWriter, r *http.Request, path string) bool {
		_, _ = w.Write(bytes.ToUpper(weights))
		return true
	}
	for _, test := range []struct {
		name, text, want string
		files            map[string]string
		serve            func(http.ResponseWriter, *http.Request, string) bool
	}{
		{"no such model", "no/model", "there is no such model, or it is private", nil, nil},
		{"no such revision", "some/model@v9", `no revision "v9"; it has main, v1`, checkpoint, nil},
		{"pickled weights", "some/model", "neither safetensors nor GGUF files, but pytorch_model.bin", map[string]string{"pytorch_model.bin": "x"}, nil},
		{"no weights", "some/model", "neither safetensors nor GGUF", map[string]string{"README.md": "x"}, nil},
		{"which GGUF", "gguf/model", "several GGUF files; name one by a part of its name after a colon", nil, nil},
		{"no such GGUF", "gguf/model:Q2", `has "Q2" in its name: m-Q4_0.gguf, m-Q8_0.gguf`, nil, nil},
		{"no GGUF", "some/model:Q4_0", `no GGUF file, so no "Q4_0"`, checkpoint, nil},
		{"damaged", "some/model", "changed or damaged on its way", map[string]string{"model.safetensors": string(weights)}, damaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, &hubtest.Hub{Repos: map[string]string{"gguf/model": gguf, "some/model": repo(t, test.files)}, Serve: test.serve})
			_, err := c.Fetch(t.Context(), parse(t, test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q in it", err, test.want)
			}
			if left, _ := filepath.Glob(filepath.Join(c.Cache, "*", "snapshots", "*")); len(left) > 0 {
				t.Errorf("a snapshot of what was refused: %v", left)
			}
		})
	}
	c := start(t, &hubtest.Hub{Repos: map[string]string{"gguf/model": gguf}})
	s, err := c.Fetch(t.Context(), parse(t, "gguf/model:q8_0"))
	if err != nil || filepath.Base(s.Path) != "m-Q8_0-00001-of-00002.gguf" || len(s.Files) != 2 {
		t.Errorf("a GGUF model in two files: %+v, %v", s, err)
	}
}

// TestHostile serves lists of files that would be written elsewhere, or that are none.
func TestHostile(t *testing.T) {
	for _, test := range []struct{ list, want string }{
		{`[{"type":"file","path":"../../x.safetensors","size":1,"oid":"` + hubtest.Commit + `"}]`, "leaves the directory"},
		{`[{"type":"file","path":"/etc/x.safetensors","size":1,"oid":"` + hubtest.Commit + `"}]`, "leaves the directory"},
		{`[{"type":"file","path":"x.safetensors","size":1,"oid":"../../../x"}]`, "is no hash"},
		{`[{"type":"file","path":"x.safetensors","size":-1,"oid":"` + hubtest.Commit + `"}]`, "-1 bytes"},
		{`<html>`, "not the answer of a Hugging Face hub"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(test.list)) }))
		c := &hub.Client{Endpoint: server.URL, Cache: t.TempDir()}
		if _, err := c.Fetch(t.Context(), parse(t, "some/model@"+hubtest.Commit)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", test.list, err, test.want)
		}
		server.Close()
	}
}

func TestParseName(t *testing.T) {
	for text, want := range map[string]hub.Name{
		"a/b": {Repo: "a/b"}, "gpt2": {Repo: "gpt2"}, "hf:a/b": {Repo: "a/b"}, "a/b:Q4_K_M@v1": {Repo: "a/b", Format: "Q4_K_M", Revision: "v1"},
		"a/b@refs/pr/1": {Repo: "a/b", Revision: "refs/pr/1"}, "https://huggingface.co/a/b": {Repo: "a/b"}, "hf.co/a/b/": {Repo: "a/b"},
		"https://huggingface.co/a/b.c/tree/v2?x=1":       {Repo: "a/b.c", Revision: "v2"},
		"https://mirror.org/a/b/blob/main/dir/m.Q8.gguf": {Repo: "a/b", Revision: "main", Format: "m.Q8.gguf"},
	} {
		if got, err := hub.ParseName(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "/", "a/", "/b", "a/b/c", "../b", "a/..", "a/b@..", "a/b@-x", "a/b@x/../y", `a\b`, "a b", "https://huggingface.co/a", "ftp://h/a/b", "a--b/c", ".git/x"} {
		if got, err := hub.ParseName(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("a/b:Q4@v1")
	f.Add("https://huggingface.co/a/b/tree/main")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := hub.ParseName(text)
		if err == nil && !filepath.IsLocal(filepath.Join("models", strings.ReplaceAll(n.Repo, "/", "--"), n.Revision)) {
			t.Errorf("%q: %+v leaves its directory", text, n)
		}
	})
}
