package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// Options say what to serve.
type Options struct {
	Models func() []Model // those that there are when it is called
	Most   int            // models that are loaded at once; 0: 1, or with a Memory any number
	Memory uint64         // bytes that loaded models may take together; 0: any number
	Keep   time.Duration  // how long a model that is not used stays loaded; 0: until another needs its place
	Queue  int            // texts that may wait for a model; more are answered with 429
	Key    string         // clients must send it; "": none
	CORS   []string       // origins whose pages may use the server; *: all

	Pooling llm.Pooling // what embeddings are made of
	Slots   string      // directory that slots are saved in; "": they are not
}

// Server serves models.
type Server struct {
	o   Options
	r   registry
	mux *http.ServeMux

	saving sync.Mutex // held while a slot is saved or restored
	kept   kept
}

// endpoints are what the server does, as patterns of http.ServeMux without /v1, which those of OpenAI's interface may have before them.
func (s *Server) endpoints() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /models": s.models, "GET /models/{id...}": s.model, "GET /props": s.props, "GET /metrics": s.metrics,
		"GET /slots": s.slots, "POST /slots/{id}": s.slotAction,
		"POST /chat/completions": s.chat, "POST /completions": s.complete, "POST /embeddings": s.embeddings,
		"POST /responses": s.respond, "GET /responses/{id}": s.response, "DELETE /responses/{id}": s.forget,
		"POST /tokenize": s.tokenize, "POST /detokenize": s.detokenize, "POST /apply-template": s.applyTemplate,
	}
}

// Paths are what a Server answers to, as patterns of http.ServeMux. OpenAI's are there with and without /v1, as users write base URLs.
var Paths = []string{
	"/v1/", "/v1", "/models", "/chat/", "/completions", "/embeddings", "/responses", "/responses/",
	"/health", "/props", "/metrics", "/slots", "/slots/", "/tokenize", "/detokenize", "/apply-template",
	"/api/", // Ollama's, where the error says what there is
}

// New makes a server. Models are not loaded yet.
func New(o Options) *Server {
	if o.Most == 0 && o.Memory > 0 {
		o.Most = math.MaxInt
	}
	s := &Server{o: o, mux: http.NewServeMux()}
	s.r = registry{models: o.Models, most: max(o.Most, 1), queue: o.Queue, budget: o.Memory, keep: o.Keep}
	s.r.life, s.r.end = context.WithCancel(context.Background())
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	for pattern, h := range s.endpoints() {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := s.authorized(r); err != nil {
				fail(w, err)
				return
			}
			if err := h(w, r); err != nil {
				fail(w, err)
			}
		})
	}
	s.mux.HandleFunc("/", s.nothing)
	return s
}

// Close takes on no more requests, lets those that run end until ctx ends, and unloads the models. It returns two seconds after
// ctx has ended at the latest: a model whose kernels are being compiled, or that is being loaded, is freed in the background then.
func (s *Server) Close(ctx context.Context) { s.r.close(ctx) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.origin(w, r) {
		fail(w, &apiError{http.StatusForbidden, "pages of this origin may not use the server: start it with --cors to allow it", "invalid_request_error", "", "origin"})
		return
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.mux.ServeHTTP(w, asPattern(r))
}

// asPattern is a request with the path that the patterns have: without /v1, and without a slash at its end or two at once.
func asPattern(r *http.Request) *http.Request {
	p := path.Clean("/" + r.URL.Path)
	if rest, ok := strings.CutPrefix(p, "/v1/"); ok && !strings.HasPrefix(rest, "v1/") {
		p = "/" + rest
	}
	if p == r.URL.Path {
		return r
	}
	out, u := *r, *r.URL
	u.Path, u.RawPath = p, ""
	out.URL = &u
	return &out
}

// nothing answers where there is no endpoint.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	asked, _, _ := strings.Cut(r.RequestURI, "?")
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := s.mux.Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if allowed != nil {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		fail(w, &apiError{http.StatusMethodNotAllowed, fmt.Sprintf("%s %s: want %s", r.Method, asked, strings.Join(allowed, " or ")), "invalid_request_error", "", "method_not_allowed"})
		return
	}
	why := "clients for OpenAI's API use the base URL http://HOST:PORT/v1, with POST /v1/chat/completions and others"
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/v1/"):
		why = "the base URL has /v1, and the client adds it once more"
	case strings.HasPrefix(r.URL.Path, "/api/"):
		why = "this is not Ollama's API; " + why
	case strings.HasPrefix(asked, "/v1/messages"):
		why = "this is not Anthropic's API; " + why
	}
	fail(w, &apiError{http.StatusNotFound, fmt.Sprintf("there is no %s %s: %s", r.Method, asked, why), "invalid_request_error", "", "not_found"})
}

// origin sets the headers of CORS, and reports whether the page that asks may. Requests that no page makes have no origin.
func (s *Server) origin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if slices.Contains(s.o.CORS, "*") || slices.Contains(s.o.CORS, origin) {
		h := w.Header()
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", origin)
		headers := r.Header.Get("Access-Control-Request-Headers") // clients send some of their own: the page is allowed to use the API, so it may
		h.Set("Access-Control-Allow-Headers", cmp.Or(headers, "Authorization, Content-Type"))
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS")
		if r.Header.Get("Access-Control-Request-Private-Network") != "" { // a public page asks a server of the local network
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
		h.Set("Access-Control-Max-Age", "600")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return true
	}
	_, host, _ := strings.Cut(origin, "://")
	return host == r.Host
}

// authorized checks the key, in a time that does not depend on it.
func (s *Server) authorized(r *http.Request) error {
	if s.o.Key == "" {
		return nil
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		given = r.Header.Get("Api-Key") // as Azure's clients send it
	}
	given = strings.TrimSpace(given)
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.o.Key))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return nil
	}
	return &apiError{http.StatusUnauthorized, "the API key is missing or wrong: send it as Authorization: Bearer KEY", "authentication_error", "", "invalid_api_key"}
}

// modelJSON describes a model.
type modelJSON struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	OwnedBy string   `json:"owned_by"`
	Aliases []string `json:"aliases,omitempty"`
}

func describe(m *Model) modelJSON {
	return modelJSON{m.ID, "model", m.Created.Unix(), "llama-webgpu", m.Aliases}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	list := []modelJSON{}
	for _, m := range s.r.models() {
		list = append(list, describe(&m))
	}
	answer(w, http.StatusOK, map[string]any{"object": "list", "data": list})
	return nil
}

func (s *Server) model(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	for _, m := range s.r.models() {
		if m.ID == id || slices.Contains(m.Aliases, id) {
			answer(w, http.StatusOK, describe(&m))
			return nil
		}
	}
	return &apiError{http.StatusNotFound, "there is no model " + id, "invalid_request_error", "model", "model_not_found"}
}

// with calls f with the model of a request, loaded.
func (s *Server) with(r *http.Request, name string, f func(l *loaded) error) error {
	l, err := s.r.use(r.Context(), name)
	if err != nil {
		return err
	}
	defer s.r.release(l)
	return f(l)
}

func (s *Server) props(w http.ResponseWriter, r *http.Request) error {
	return s.with(r, r.URL.Query().Get("model"), func(l *loaded) error {
		m := l.scheduler.Model()
		answer(w, http.StatusOK, map[string]any{
			"model": l.ID, "system_fingerprint": l.Print, "device": m.String(), "total_slots": m.Sequences(), "vocab_size": m.VocabSize(),
			"chat":                        m.Vocabulary().Template != nil,
			"default_generation_settings": map[string]any{"n_ctx": m.Context(), "temperature": defaultTemperature, "top_k": defaultTopK, "top_p": defaultTopP},
		})
		return nil
	})
}
