// Shift measures what is lost where a text goes on beyond its context, with the older half of its tokens dropped: with the
// keys that stay rotated to their new positions, or computed anew. It runs a model's weights on the CPU engine over windows
// of a text and compares the next half a context of it with what a context of twice the length predicts.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/source"
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

// way is one way to go on.
type way struct {
	name           string
	kld, loss, sum float64
	time           time.Duration // of making room
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
	ways := []way{{name: "rotated"}, {name: "anew"}}
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
	for _, w := range ways {
		fmt.Printf("%-8s KL divergence %.4f, loss %.4f (%+.4f), %.2f ms to make room\n", w.name, w.kld/w.sum, w.loss/w.sum, (w.loss-ways[1].loss)/w.sum, 1000*w.time.Seconds()/float64(windows))
	}
	return nil
}

// read cuts a text into windows of so many tokens, each of which begins as the tokenizer begins a text.
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
		return nil, fmt.Errorf("%s: %d tokens, %d windows take %d", path, len(ids), windows, windows*each)
	}
	var all [][]int32
	for ids := range slices.Chunk(ids[:windows*each], each) {
		all = append(all, slices.Concat(before, ids))
	}
	return all, nil
}

// logits feeds tokens to an empty engine and returns the log-probabilities after each one from `from` on.
func logits(e *cpu.Engine, ids []int32, from int) ([][]float64, error) {
	e.Reset()
	return rest(e, ids, from)
}

func rest(e *cpu.Engine, ids []int32, from int) (all [][]float64, err error) {
	err = e.Forward(context.Background(), ids, from, func(_ int, logits []float32) error {
		all = append(all, logSoftmax(logits))
		return nil
	})
	return all, err
}

func logSoftmax(logits []float32) []float64 {
	most, sum := math.Inf(-1), 0.0
	for _, v := range logits {
		most = max(most, float64(v))
	}
	for _, v := range logits {
		sum += math.Exp(float64(v) - most)
	}
	p := make([]float64, len(logits))
	for i, v := range logits {
		p[i] = float64(v) - most - math.Log(sum)
	}
	return p
}

// measure fills the context, makes room and goes on with the text.
func (w *way) measure(e *cpu.Engine, window []int32, length, keep int, want [][]float64) error {
	if _, err := logits(e, window[:length], length); err != nil {
		return err
	}
	drop := (length - keep + 1) / 2
	begun := time.Now()
	if w.name == "rotated" {
		if ok, err := e.Shift(keep, drop); err != nil || !ok {
			return fmt.Errorf("the keys of this model cannot be moved: %v", err)
		}
	} else if _, err := again(e, window[:length], keep, drop); err != nil {
		return err
	}
	w.time += time.Since(begun)
	got, err := rest(e, window[length:], 0)
	if err != nil {
		return err
	}
	for i, p := range got[:len(got)-1] {
		for id, q := range want[i] {
			w.kld += math.Exp(q) * (q - p[id])
		}
		w.loss -= p[window[length+i+1]]
		w.sum++
	}
	return nil
}

// again computes the tokens that stay.
func again(e *cpu.Engine, ids []int32, keep, drop int) ([][]float64, error) {
	if err := e.Rewind(keep); err != nil {
		return nil, err
	}
	return rest(e, ids[keep+drop:], len(ids))
}
