package web_test

import (
	"cmp"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// draws are how often Go's sampler chooses each token of a few logits, for suite.js to compare sample() with.
type draws struct {
	Logits  []float32      `json:"logits"`
	Options map[string]any `json:"options"` // of sample()
	Counts  []int          `json:"counts"`  // by token
}

const drawn = 4000 // seeds

// goDraws draws with options that leave each token a probability of 0, or of so much that it is drawn.
func goDraws() ([]draws, error) {
	var all []draws
	for _, o := range []sample.Options{
		{Temperature: 0},
		{Temperature: 1},
		{Temperature: 2},
		{Temperature: 0.5},
		{Temperature: 1, TopK: 3},
		{Temperature: 1, TopP: new(float32(0.7))},
		{Temperature: 1.5, TopP: new(float32(0.7))},
		{Temperature: 1.5, TopP: new(float32(0))},
		{Temperature: 1, MinP: 0.2},
		{Temperature: 0.7, TopK: 4, TopP: new(float32(0.9)), MinP: 0.1},
	} {
		d := draws{
			Logits:  []float32{1, 3, 2.5, 1, 2, 3, 0.5, 2.25},
			Options: map[string]any{"temperature": o.Temperature, "topK": o.TopK, "topP": cmp.Or(o.TopP, new(float32(1))), "minP": o.MinP},
		}
		d.Counts = make([]int, len(d.Logits))
		for seed := range uint64(drawn) {
			o.Seed = seed
			s, err := sample.New(o)
			if err != nil {
				return nil, err
			}
			id, err := s.Sample(append([]float32{}, d.Logits...))
			if err != nil {
				return nil, err
			}
			d.Counts[id]++
		}
		all = append(all, d)
	}
	return all, nil
}
