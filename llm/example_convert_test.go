//go:build !js

package llm_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// Convert a checkpoint, and say how far that is.
func ExampleConvert() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var last llm.ConvertProgress
	report, err := llm.Convert(context.Background(), "../testdata/tiny", filepath.Join(dir, "bundle"), llm.ConvertOptions{
		Policy:   llm.ConvertPolicy{Format: "int4", Method: "rtn"},
		Progress: func(p llm.ConvertProgress) { last = p },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d bytes\n", last.Done, last.Total)
	fmt.Printf("%d tensors, %.0f %% of their size\n", len(report.Tensors), 100*float64(report.Out)/float64(report.In))
	// Output:
	// 11540992 of 11540992 bytes
	// 56 tensors, 34 % of their size
}

// Convert a checkpoint, and verify the bundle without a GPU.
func ExampleVerify() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bundle, checkpoint := filepath.Join(dir, "bundle"), "../testdata/tiny"
	_, err = llm.Convert(ctx, checkpoint, bundle, llm.ConvertOptions{Policy: llm.ConvertPolicy{Format: "int8", Method: "rtn"}})
	if err != nil {
		log.Fatal(err)
	}
	o := llm.VerifyOptions{RuntimeTokens: 8}
	o.Engine.Device = llm.CPU
	o.Text = llm.VerifyText{Text: "It was a cold morning in the early spring of the year, and we sat after breakfast on either side of a cheery fire in the old room.", Windows: 1, Tokens: 16}
	r, err := llm.Verify(ctx, bundle, checkpoint, o)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("passes:", r.Pass)
	fmt.Println("KL divergence below 0.01 nats:", r.Drift.MeanKLD < 0.01)
	// Output:
	// passes: true
	// KL divergence below 0.01 nats: true
}
