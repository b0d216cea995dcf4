package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// apiError is an error as clients of the interface expect it.
type apiError struct {
	Status                     int
	Message, Type, Param, Code string
}

func (e *apiError) Error() string { return e.Message }

// MarshalJSON implements json.Marshaler. What is empty is null.
func (e *apiError) MarshalJSON() ([]byte, error) {
	null := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return json.Marshal(struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}{e.Message, e.Type, null(e.Param), null(e.Code)})
}

// bad is an error of a field of the request.
func bad(param, format string, args ...any) error {
	return &apiError{http.StatusBadRequest, fmt.Sprintf(format, args...), "invalid_request_error", param, ""}
}

// asAPI says what an error is to a client.
func asAPI(err error) *apiError {
	var e *apiError
	var option *llm.OptionError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, llm.ErrQueueFull):
		return &apiError{http.StatusTooManyRequests, "too many requests are waiting; try again later", "rate_limit_error", "", "queue_full"}
	case errors.Is(err, llm.ErrTooLong):
		return &apiError{http.StatusBadRequest, err.Error(), "invalid_request_error", "messages", "context_length_exceeded"}
	case errors.Is(err, llm.ErrClosed):
		return &apiError{http.StatusServiceUnavailable, "the server is shutting down, or is loading the model again; try again later", "server_error", "", ""}
	case errors.As(err, &option): // "top-p 2: want …"
		name, _, _ := strings.Cut(option.Error(), " ")
		name = strings.TrimSuffix(name, ":")
		field := strings.ReplaceAll(name, "-", "_")
		return &apiError{http.StatusBadRequest, strings.Replace(err.Error(), name, field, 1), "invalid_request_error", field, ""}
	case errors.Is(err, llm.ErrNoTokens), errors.Is(err, llm.ErrNoTokenizer):
		return &apiError{http.StatusBadRequest, err.Error(), "invalid_request_error", "", ""}
	}
	return &apiError{http.StatusInternalServerError, err.Error(), "server_error", "", ""}
}

// renamed has an error name a field of chat completions as another endpoint does.
func renamed(fields map[string]string, err error) error {
	if err == nil {
		return nil
	}
	e := *asAPI(err)
	if name, ok := fields[e.Param]; ok {
		if rest, ok := strings.CutPrefix(e.Message, e.Param); ok {
			e.Message = name + rest
		}
		e.Param = name
	}
	return &e
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error) {
	e := asAPI(err)
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	answer(w, e.Status, map[string]any{"error": e})
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails only if the client has gone
}
