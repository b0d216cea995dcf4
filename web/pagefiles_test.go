package web_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/llama-webgpu/llama-webgpu/web"
)

// TestPageVersions has a browser that keeps the files of one build ask for those of another, which was made earlier, as after a
// downgrade: it gets what is there now, and only what is the same need not be sent.
func TestPageVersions(t *testing.T) {
	built := func(text string, at time.Time) http.Handler {
		var wasm bytes.Buffer
		z := gzip.NewWriter(&wasm)
		if _, err := z.Write([]byte("wasm " + text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return web.Handler(web.Options{Page: fstest.MapFS{
			"index.html": {Data: []byte("page " + text), ModTime: at}, "app.js": {Data: []byte("script"), ModTime: at},
			"llama-webgpu/llama-webgpu.wasm.gz": {Data: wasm.Bytes(), ModTime: at},
		}})
	}
	now := time.Now()
	newer, older := built("newer", now), built("older", now.AddDate(0, -1, 0))
	ask := func(h http.Handler, path, encoding string, kept http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		if kept != nil {
			r.Header.Set("If-None-Match", kept.Get("ETag"))
			r.Header.Set("If-Modified-Since", now.UTC().Format(http.TimeFormat))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const wasm = "/llama-webgpu/llama-webgpu.wasm"
	tags := map[string]bool{}
	for _, c := range []struct {
		path, encoding string
		after          int // the status of the older build's answer
	}{{"/", "", 200}, {"/app.js", "", 304}, {wasm, "", 200}, {wasm, "gzip", 200}} {
		first := ask(newer, c.path, c.encoding, nil)
		if first.Code != http.StatusOK || first.Header().Get("Cache-Control") != "no-cache" || first.Header().Get("Last-Modified") != "" {
			t.Errorf("%s: %d with %v", c.path, first.Code, first.Header())
		}
		if again := ask(newer, c.path, c.encoding, first.Header()); again.Code != http.StatusNotModified {
			t.Errorf("%s, asked once more: %d", c.path, again.Code)
		}
		if after := ask(older, c.path, c.encoding, first.Header()); after.Code != c.after {
			t.Errorf("%s of another build: %d, want %d", c.path, after.Code, c.after)
		}
		tags[first.Header().Get("ETag")] = true
	}
	if len(tags) != 4 {
		t.Errorf("four bodies have the tags %v", tags)
	}
	// A browser that has a time, and no tag.
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("If-Modified-Since", now.UTC().Format(http.TimeFormat))
	w := httptest.NewRecorder()
	if older.ServeHTTP(w, r); w.Code != http.StatusOK || w.Body.String() != "page older" {
		t.Errorf("of a page with a time: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/llama-webgpu/", "/llama-webgpu", "/nothing.js", "/../web.go"} {
		if w := ask(newer, path, "", nil); w.Code == http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
