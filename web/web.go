package web

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Model is a bundle to serve.
type Model struct {
	Name   string   `json:"name"` // a single path element
	Title  string   `json:"title"`
	Format string   `json:"format,omitzero"` // of its matrices
	Bytes  int64    `json:"bytes"`
	Dir    string   `json:"-"`
	Files  []string `json:"-"` // that clients may request
}

// Options say what to serve.
type Options struct {
	Page fs.FS // as Site returns it
	// Models are the bundles that there are when it is called; nil: none.
	Models func() []Model
	// API answers to APIPaths, patterns of http.ServeMux without a method; nil: nothing does.
	API      http.Handler
	APIPaths []string
	// Reference computes the logits [len(tokens)][vocab] of a model on the CPU, for the page to compare with; nil:
	// the page offers no comparison.
	Reference func(ctx context.Context, model string, tokens []int32) ([]float32, error)
	// Hosts are the names and addresses that the server answers to. Requests for others are refused, so that no other
	// site can point a domain of its own at this machine (DNS rebinding). Empty: any.
	Hosts []string
	// AnyAddress adds all IP addresses to Hosts: whoever writes one uses no domain.
	AnyAddress bool
}

// maxReferenceTokens is the most tokens that Reference is called with: it is slow.
const maxReferenceTokens = 64

// methods are those that an API answers to, if only by an error.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Handler serves what Options say.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /models.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"models": o.models(), "reference": o.Reference != nil}) // fails only if the client has gone
	})
	mux.HandleFunc("GET /models/{model}/{file}", o.serveModel)
	mux.Handle("POST /reference/{model}", http.NewCrossOriginProtection().Handler(http.HandlerFunc(o.reference)))
	mux.HandleFunc("GET /"+wasmName, o.serveWasm)
	for _, path := range o.APIPaths {
		for _, method := range methods { // without one, it would conflict with GET /
			mux.Handle(method+" "+path, o.API)
		}
	}
	if o.API != nil { // which says what there is
		for _, method := range methods[1:] {
			mux.Handle(method+" /", o.API)
		}
	}
	mux.HandleFunc("GET /", o.servePage)
	return o.guard(mux)
}

// guard checks the host and sets the headers that every response has.
func (o *Options) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.known(r.Host) {
			text := fmt.Sprintf("this server does not answer to the name %q: start it with --allow-host to add a name", r.Host)
			if r.Host == "" { // as load balancers ask by HTTP/1.0 whether it is there
				text = "the request has no Host header: send one, such as Host: localhost"
			}
			http.Error(w, text, http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src *; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // revalidate
		next.ServeHTTP(w, r)
	})
}

func (o *Options) known(host string) bool {
	if len(o.Hosts) == 0 {
		return true
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if o.AnyAddress && net.ParseIP(host) != nil {
		return true
	}
	return slices.ContainsFunc(o.Hosts, func(h string) bool { return strings.EqualFold(host, h) })
}

// models are the bundles that there are now.
func (o *Options) models() []Model {
	if o.Models == nil {
		return []Model{}
	}
	return o.Models()
}

// serveModel serves a file of a bundle, if it is one that clients may request.
func (o *Options) serveModel(w http.ResponseWriter, r *http.Request) {
	for _, m := range o.models() {
		if file := r.PathValue("file"); m.Name == r.PathValue("model") && slices.Contains(m.Files, file) {
			serveFile(w, r, filepath.Join(m.Dir, file))
			return
		}
	}
	http.NotFound(w, r)
}

// serveFile serves a file, whole or in ranges.
func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	f, err := os.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.Size(), info.ModTime().UnixNano()))
	if strings.HasSuffix(name, ".wgpu") {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	http.ServeContent(w, r, name, info.ModTime(), f)
}

// reference takes a JSON list of tokens and returns their logits as little-endian float32.
func (o *Options) reference(w http.ResponseWriter, r *http.Request) {
	if o.Reference == nil {
		http.NotFound(w, r)
		return
	}
	var tokens []int32
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&tokens)
	if err != nil || len(tokens) == 0 || len(tokens) > maxReferenceTokens {
		http.Error(w, fmt.Sprintf("want a JSON list of 1 to %d tokens", maxReferenceTokens), http.StatusBadRequest)
		return
	}
	logits, err := o.Reference(r.Context(), r.PathValue("model"), tokens)
	if errors.Is(err, fs.ErrNotExist) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	raw := make([]byte, 0, 4*len(logits))
	for _, v := range logits {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(raw) // fails only if the client has gone
}
