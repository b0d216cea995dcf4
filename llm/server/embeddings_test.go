package server_test

import (
	"math"
	"net/http"
	"strings"
	"testing"

	openai "github.com/sashabaranov/go-openai"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// TestEmbeddings has a client ask for embeddings, as numbers and as base64: they have length 1, are the same for the same text,
// and alike for texts that are.
func TestEmbeddings(t *testing.T) {
	texts := []string{"the cold morning was grey", "the cold morning was dark", "7 + 12 = 19", "the cold morning was grey"}
	for _, pooling := range []llm.Pooling{llm.PoolLast, llm.PoolMean} {
		address, c := start(t, server.Options{Pooling: pooling}, "tiny")
		plain, err := c.CreateEmbeddings(t.Context(), openai.EmbeddingRequest{Model: "tiny", Input: texts})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := c.CreateEmbeddings(t.Context(), openai.EmbeddingRequest{Model: "tiny", Input: texts, EncodingFormat: "base64"})
		if err != nil || len(plain.Data) != 4 || len(encoded.Data) != 4 || plain.Usage.PromptTokens == 0 || plain.Usage.TotalTokens != plain.Usage.PromptTokens {
			t.Fatalf("%d and %d embeddings, %+v, %v", len(plain.Data), len(encoded.Data), plain.Usage, err)
		}
		v := func(i int) []float32 { return plain.Data[i].Embedding }
		for i := range texts {
			if plain.Data[i].Index != i || math.Abs(dot(v(i), v(i))-1) > 1e-5 || math.Abs(dot(v(i), encoded.Data[i].Embedding)-1) > 1e-5 {
				t.Errorf("%s, %d: length %v, of base64 %v", pooling, i, dot(v(i), v(i)), dot(v(i), encoded.Data[i].Embedding))
			}
		}
		if same, alike, other := dot(v(0), v(3)), dot(v(0), v(1)), dot(v(0), v(2)); math.Abs(same-1) > 1e-5 || pooling == llm.PoolMean && alike <= other {
			t.Errorf("%s: the same text %v, one that is alike %v, another %v", pooling, same, alike, other)
		}
		short, err := c.CreateEmbeddings(t.Context(), openai.EmbeddingRequest{Model: "tiny", Input: "the cold morning was grey", Dimensions: 16})
		if err != nil || len(short.Data[0].Embedding) != 16 || math.Abs(dot(short.Data[0].Embedding, short.Data[0].Embedding)-1) > 1e-5 {
			t.Errorf("16 dimensions: %v, %v", short, err)
		}
		for body, want := range map[string]string{
			`{}`:                                  "there is no input",
			`{"input":[]}`:                        "0 texts",
			`{"input":"x","encoding_format":"q"}`: "encoding_format",
			`{"input":"x","dimensions":100000}`:   "dimensions",
			`{"input":[[1,99999]]}`:               "token 99999",
			`{"input":{"x":1}}`:                   "want a string",
			`{"input":"` + strings.Repeat("word ", 2000) + `"}`: "context_length_exceeded",
		} {
			if status, text, _ := post(t, address+"/v1/embeddings", body); status != http.StatusBadRequest || !strings.Contains(text, want) {
				t.Errorf("%.60s: %d %s, want %q", body, status, text, want)
			}
		}
	}
}
