package run_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/verify/run"
)

// Convert a checkpoint to two formats, and see what each of them loses.
func ExampleOpenComparison() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const checkpoint = "../../testdata/tiny"
	var bundles []string
	for _, format := range []string{"int8", "int2"} {
		out := filepath.Join(dir, format)
		if _, err := auto.Convert(ctx, checkpoint, out, auto.Options{Policy: auto.Policy{Format: format, Method: "rtn"}}); err != nil {
			log.Fatal(err)
		}
		bundles = append(bundles, out)
	}
	c, err := run.OpenComparison(checkpoint, bundles, run.Options{
		Engine: engine.Options{Device: engine.CPU},
		Text:   run.Text{Windows: 1, Tokens: 32},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for row, err := range c.Rows(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: the same token at more than half of the positions: %v\n", filepath.Base(row.Name), row.Drift.Top1 > 0.5)
	}
	// Output:
	// int8: the same token at more than half of the positions: true
	// int2: the same token at more than half of the positions: false
}
