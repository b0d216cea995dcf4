package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/http"
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
}

// Paths are what a Server answers to, as patterns of http.ServeMux.
var Paths = []string{"/v1/", "/health", "/props", "/metrics", "/slots", "/slots/", "/tokenize", "/detokenize", "/apply-template"}

// New makes a server. Models are not loaded yet.
func New(o Options) *Server {
	if o.Most == 0 && o.Memory > 0 {
		o.Most = math.MaxInt
	}
	s := &Server{o: o, mux: http.NewServeMux()}
	s.r = registry{models: o.Models, most: max(o.Most, 1), queue: o.Queue, budget: o.Memory, keep: o.Keep}
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/models": s.models, "GET /v1/models/{id...}": s.model, "GET /props": s.props, "GET /metrics": s.metrics,
		"GET /slots": s.slots, "POST /slots/{id}": s.slotAction,
		"POST /v1/chat/completions": s.chat, "POST /v1/completions": s.complete,
		"POST /v1/embeddings": s.embeddings, "POST /tokenize": s.tokenize, "POST /detokenize": s.detokenize, "POST /apply-template": s.applyTemplate,
	} {
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
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &apiError{http.StatusNotFound, "there is no " + r.Method + " " + r.URL.Path, "invalid_request_error", "", "not_found"})
	})
	return s
}

// Close takes on no more requests, lets those that run end until ctx ends, and unloads the models.
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
	s.mux.ServeHTTP(w, r)
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
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
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
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
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

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model      string `json:"model"`
		Content    string `json:"content"`
		AddSpecial bool   `json:"add_special"`
	}
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	return s.with(r, q.Model, func(l *loaded) error {
		t := l.scheduler.Model().Vocabulary().Tokenizer
		if t == nil {
			return llm.ErrNoTokenizer
		}
		ids, err := t.Encode(q.Content, q.AddSpecial)
		if err != nil {
			return bad("content", "%v", err)
		}
		answer(w, http.StatusOK, map[string]any{"tokens": append([]int32{}, ids...)})
		return nil
	})
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model  string  `json:"model"`
		Tokens []int32 `json:"tokens"`
	}
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	return s.with(r, q.Model, func(l *loaded) error {
		t := l.scheduler.Model().Vocabulary().Tokenizer
		if t == nil {
			return llm.ErrNoTokenizer
		}
		answer(w, http.StatusOK, map[string]any{"content": t.Decode(q.Tokens, false)})
		return nil
	})
}

func (s *Server) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	var q request
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	return s.with(r, q.Model, func(l *loaded) error {
		t, err := q.turn(l)
		if err != nil {
			return err
		}
		answer(w, http.StatusOK, map[string]any{"prompt": t.prompt})
		return nil
	})
}
