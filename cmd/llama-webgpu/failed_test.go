package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// What cannot be encoded is named with the checkpoint and the flag that helps.
func TestFailedWeights(t *testing.T) {
	set := flag.NewFlagSet("quantize", flag.ContinueOnError)
	set.String("input-dir", "checkpoint", "")
	m := &meter{c: cli.NewContext(nil, set, nil)}
	for reason, want := range map[error]string{block.ErrNotFinite: "--sanitize", quant.ErrOverflow: "--saturate"} {
		err := failed(m, &quant.WeightError{Col: 3, Reason: reason})
		if msg := err.Error(); !strings.HasPrefix(msg, "checkpoint: column 3: ") || !strings.Contains(msg, want) {
			t.Errorf("%v: error is %v\nwant one with %s", reason, err, want)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Text that nobody got is an error, not a success.
func TestPrinterKeepsWriteError(t *testing.T) {
	p := printer{w: full{}}
	p.print("a")
	p.w = io.Discard
	p.print("b")
	if !errors.Is(p.failed, syscall.ENOSPC) {
		t.Errorf("error is %v, want %v", p.failed, syscall.ENOSPC)
	}
}
