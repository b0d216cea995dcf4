// Shift measures what is lost where a text goes on beyond its context and the older half of its tokens is dropped: with the
// cached keys of the rest rotated to their new positions, and with the rest computed anew. It runs a model on the CPU engine over
// windows of a text, and compares predictions of the next half context with those of a context of twice the length.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

func main() {
	model := flag.String("model", "testdata/tiny", "bundle or checkpoint")
	text := flag.String("text", "testdata/text/evaluation.txt", "what the windows are cut from")
	length := flag.Int("context", 256, "tokens")
	keep := flag.Int("keep", 1, "first tokens that stay; the tokenizer's beginning is among them")
	windows := flag.Int("windows", 8, "how many")
	flag.Parse()
	if err := run(*model, *text, *length, *keep, *windows); err != nil {
		fmt.Fprintln(os.Stderr, "shift:", err)
		os.Exit(1)
	}
}

// way is one way to make room in a full context.
type way struct {
	name  string
	room  func(e *cpu.Engine, fed []int32, keep, drop int) error
	drift verify.Metrics
	time  time.Duration // of making room
}

func run(path, text string, length, keep, windows int) error {
	m, err := source.Open(path)
	if err != nil {
		return err
	}
	defer m.Close()
	long := length + length/2
	all, err := read(m, text, windows, long)
	if err != nil {
		return err
	}
	whole, err := cpu.New(m.Weights, cpu.Options{MaxSeqLen: 2 * length})
	if err != nil {
		return err
	}
	e, err := cpu.New(m.Weights, cpu.Options{MaxSeqLen: length, KVFloat16: true})
	if err != nil {
		return err
	}
	ways := []way{{name: "rotated", room: rotated}, {name: "anew", room: anew}}
	for _, window := range all {
		want, err := logits(whole, window, length)
		if err != nil {
			return err
		}
		for i := range ways {
			if err := ways[i].measure(e, window, length, keep, want); err != nil {
				return err
			}
		}
	}
	for i := range ways {
		w := &ways[i]
		d := w.drift.Drift()
		fmt.Printf("%-8s KL divergence %.4f, loss %.4f (%+.4f), %.2f ms to make room\n", w.name, d.MeanKLD, math.Log(d.PPL), math.Log(d.PPL/ways[1].drift.Drift().PPL), 1000*w.time.Seconds()/float64(windows))
	}
	return nil
}

// read cuts a text into windows of `long` tokens, each of which begins as the tokenizer begins a text.
func read(m *source.Model, path string, windows, long int) ([][]int32, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(string(data), false)
	if err != nil {
		return nil, err
	}
	before, _ := tok.Around()
	each := long - len(before)
	if len(ids) < windows*each {
		return nil, fmt.Errorf("%s: it has %d tokens, and %d windows take %d", path, len(ids), windows, windows*each)
	}
	var all [][]int32
	for ids := range slices.Chunk(ids[:windows*each], each) {
		all = append(all, slices.Concat(before, ids))
	}
	return all, nil
}

// logits feeds tokens to an empty engine and returns what it predicts after each one from `from` on.
func logits(e *cpu.Engine, ids []int32, from int) ([][]float32, error) {
	e.Reset()
	return more(e, ids, from)
}

// more is logits for an engine that goes on.
func more(e *cpu.Engine, ids []int32, from int) (all [][]float32, err error) {
	err = e.Forward(context.Background(), ids, from, func(_ int, logits []float32) error {
		all = append(all, slices.Clone(logits))
		return nil
	})
	return all, err
}

// measure fills the context, makes room and goes on with the text.
func (w *way) measure(e *cpu.Engine, window []int32, length, keep int, want [][]float32) error {
	if _, err := logits(e, window[:length], length); err != nil {
		return err
	}
	begun := time.Now()
	if err := w.room(e, window[:length], keep, (length-keep+1)/2); err != nil {
		return err
	}
	w.time += time.Since(begun)
	got, err := more(e, window[length:], 0)
	if err != nil {
		return err
	}
	for i, candidate := range got[:len(got)-1] {
		if err := w.drift.Add(want[i], candidate, window[length+i+1]); err != nil {
			return err
		}
	}
	return nil
}

// rotated moves the keys that stay.
func rotated(e *cpu.Engine, _ []int32, keep, drop int) error {
	moved, err := e.Shift(keep, drop)
	if err == nil && !moved {
		err = errors.New("the keys of this model cannot be moved")
	}
	return err
}

// anew feeds the tokens that stay once more.
func anew(e *cpu.Engine, fed []int32, keep, drop int) error {
	if err := e.Rewind(keep); err != nil {
		return err
	}
	_, err := more(e, fed[keep+drop:], len(fed))
	return err
}
