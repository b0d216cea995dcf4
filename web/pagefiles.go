package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

const wasmName = "llama-webgpu/llama-webgpu.wasm"

// servePage serves a file of the page.
func (o *Options) servePage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if name == "" {
		name = "index.html"
	}
	data, err := fs.ReadFile(o.Page, name)
	if err != nil { // directories, too
		http.NotFound(w, r)
		return
	}
	serveVersion(w, r, name, data)
}

// serveWasm serves the WebAssembly, which is gzipped in the page's files: as it is, or unpacked for clients that do not accept gzip.
func (o *Options) serveWasm(w http.ResponseWriter, r *http.Request) {
	packed, err := fs.ReadFile(o.Page, wasmName+".gz")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Type", "application/wasm")
		w.Header().Set("Content-Encoding", "gzip")
		serveVersion(w, r, "", packed)
		return
	}
	raw, err := unpacked(packed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/wasm")
	serveVersion(w, r, "", raw)
}

func unpacked(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// serveVersion serves data with its hash as the version that browsers ask for. A time would not do: a program that was built
// earlier may follow at the same address, and its files would pass for those that the browser has.
func serveVersion(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:16]))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}
