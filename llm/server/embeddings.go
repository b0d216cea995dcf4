package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// embeddingRequest is the body of a request for embeddings.
type embeddingRequest struct {
	Model      string          `json:"model"`
	Input      json.RawMessage `json:"input"`
	Encoding   string          `json:"encoding_format"`
	Dimensions *whole          `json:"dimensions"`
}

func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) error {
	var q embeddingRequest
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	if q.Encoding != "" && q.Encoding != "float" && q.Encoding != "base64" {
		return bad("encoding_format", "encoding_format is %q, want float or base64", q.Encoding)
	}
	return renamed(map[string]string{"messages": "input"}, s.with(r, q.Model, func(l *loaded) error {
		texts, err := prompts("input", q.Input, l)
		if err != nil {
			return err
		}
		vectors, err := s.embed(r.Context(), l, texts)
		if err != nil {
			return err
		}
		data, tokens := make([]any, len(vectors)), 0
		for i, v := range vectors {
			if v, err = q.shortened(v); err != nil {
				return err
			}
			data[i] = map[string]any{"object": "embedding", "index": i, "embedding": q.encoded(v)}
			tokens += len(texts[i])
		}
		answer(w, http.StatusOK, map[string]any{
			"object": "list", "data": data, "model": l.ID, "usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
		})
		return nil
	}))
}

// embed computes embeddings, a few texts at a time so that they do not fill the queue. The first error ends them all.
func (s *Server) embed(ctx context.Context, l *loaded, texts [][]int32) ([][]float32, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	vectors, next := make([][]float32, len(texts)), make(chan int)
	var workers sync.WaitGroup
	for range min(len(texts), l.scheduler.Model().Sequences()) {
		workers.Go(func() {
			for i := range next {
				v, err := l.scheduler.Embed(ctx, texts[i], s.o.Pooling)
				if err != nil {
					cancel(err)
				}
				vectors[i] = v
			}
		})
	}
	for i := range texts {
		next <- i
	}
	close(next)
	workers.Wait()
	return vectors, context.Cause(ctx)
}

// shortened returns the first dimensions of an embedding, if fewer are asked for, scaled to length 1 again.
func (q *embeddingRequest) shortened(v []float32) ([]float32, error) {
	n := int(or(q.Dimensions, whole(len(v))))
	if n < 1 || n > len(v) {
		return nil, bad("dimensions", "dimensions is %d, want 1 to %d", n, len(v))
	}
	if n == len(v) {
		return v, nil
	}
	return llm.Unit(v[:n])
}

// encoded is an embedding as numbers, or as little-endian float32 in base64.
func (q *embeddingRequest) encoded(v []float32) any {
	if q.Encoding != "base64" {
		return v
	}
	data := make([]byte, 0, 4*len(v))
	for _, x := range v {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(data)
}
