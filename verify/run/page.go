package run

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
)

// promptTokens is how much of the text the models are to continue, and contextBefore and
// contextAfter how much is shown around a bad prediction.
const (
	promptTokens  = 32
	contextBefore = 32
	contextAfter  = 12
)

// details measures what only a page shows: the residual stream and generated text.
func (v *verification) details(ctx context.Context) error {
	if v.Page == nil {
		return nil
	}
	ref, err := engine.NewCPU(v.source, engine.Options{Context: v.context(), KVBits: 32})
	if err != nil {
		return err
	}
	_, end := v.begin("layers and text", -1, false)
	defer end()
	tokens := v.windows[0][:min(v.context(), v.RuntimeTokens)]
	if v.report.Details.Layers, err = verify.MeasureLayers(ctx, ref.Forwarder, v.engine.Forwarder, tokens); err != nil {
		return err
	}
	return v.generate(ctx, ref.Forwarder)
}

// generate lets both models continue the beginning of the text.
func (v *verification) generate(ctx context.Context, ref verify.Forwarder) error {
	prompt := v.windows[0][:min(promptTokens, v.context()/2)]
	n := min(v.Page.Generate, v.context()-len(prompt))
	if n <= 0 {
		return nil
	}
	tok, err := v.bundle.Tokenizer()
	if err != nil {
		return err
	}
	var tokens [2][]int32
	var texts [2]string
	for i, f := range []verify.Forwarder{ref, v.engine.Forwarder} {
		f.Reset()
		if tokens[i], err = greedy(ctx, f, v.bundle.EOS, prompt, n); err != nil {
			return err
		}
		texts[i] = continuation(tok, prompt, tokens[i])
	}
	a, b := tokens[0], tokens[1]
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	v.text = &report.Text{
		Prompt: tok.Decode(prompt, true), Reference: texts[0], Bundle: texts[1],
		Same: same, Tokens: max(len(a), len(b)),
	}
	return nil
}

// greedy returns at most n tokens after a prompt, always the likeliest one, without one that ends the text.
func greedy(ctx context.Context, f verify.Forwarder, eos []int, prompt []int32, n int) (tokens []int32, err error) {
	fed := prompt
	for range n {
		best := 0
		err := f.Forward(ctx, fed, len(fed)-1, func(_ int, logits []float32) error {
			for id, l := range logits {
				if l > logits[best] {
					best = id
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if slices.Contains(eos, best) {
			break
		}
		tokens = append(tokens, int32(best))
		fed = tokens[len(tokens)-1:]
	}
	return tokens, nil
}

// continuation returns the text of tokens after a prompt, which it may depend on: a space, half a character.
func continuation(tok *tokenizer.Tokenizer, prompt, tokens []int32) string {
	var text strings.Builder
	stream := tok.Stream(true)
	for _, id := range prompt {
		stream.Push(id)
	}
	for _, id := range tokens {
		text.WriteString(stream.Push(id))
	}
	text.WriteString(stream.Flush())
	return text.String()
}

// page puts together what a page shows.
func (v *verification) page(r *Result) (*report.Page, error) {
	m := v.bundle.Bundle.Manifest
	p := &report.Page{
		Bundle: baseName(v.bundle.Dir), Reference: baseName(v.source.Dir), Report: &r.Report, Text: v.text,
		Summary: m.Quantization.String(), Tensors: tensorErrors(m), Facts: v.facts(),
	}
	var err error
	if p.Files, err = bundleFiles(v.bundle); err != nil {
		return nil, err
	}
	if d := r.Details; d != nil {
		tok, err := v.bundle.Tokenizer()
		if err != nil {
			return nil, err
		}
		for _, w := range d.Worst {
			p.Worst = append(p.Worst, inContext(tok, v.windows[w.Window], w))
		}
	}
	return p, nil
}

// baseName names a directory by its last part, also where it is given as a dot.
func baseName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

// tensorErrors returns the tensors that were quantized.
func tensorErrors(m *bundle.Manifest) []report.Tensor {
	var all []report.Tensor
	for _, t := range m.Tensors {
		if t.Type.Quantized() {
			all = append(all, report.Tensor{
				Name: t.Name, Role: string(t.Role), Layer: t.Layer, Stored: bundle.StoredAs(t.Type, t.Block), Error: t.Error,
			})
		}
	}
	return all
}

// inContext says what a position is in words.
func inContext(tok *tokenizer.Tokenizer, window []int32, p verify.Position) report.Worst {
	next := p.Token + 1
	one := func(id int32) string { return tok.Decode([]int32{id}, false) }
	before := tok.Decode(window[max(0, next-contextBefore):next], true)
	upTo := tok.Decode(window[max(0, next-contextBefore):next+1], true)
	end := min(len(window), next+1+contextAfter)
	all := tok.Decode(window[max(0, next-contextBefore):end], true)
	w := report.Worst{Position: p, Before: strings.TrimLeft(before, " \n"), Token: one(p.Next), Top: one(p.Top), TopRef: one(p.TopRef)}
	if token, ok := strings.CutPrefix(upTo, before); ok && token != "" {
		w.Token = token // with the space that belongs to it
	}
	if after, ok := strings.CutPrefix(all, upTo); ok {
		w.After = after
	}
	return w
}

// facts says what ran.
func (v *verification) facts() []report.Fact {
	env, m := v.report.Environment, v.bundle.Bundle.Manifest
	return append([]report.Fact{
		{Name: "bundle id", Value: m.ID},
		{Name: "made by", Value: m.Generator},
		{Name: "device", Value: env["device"]},
		{Name: "cached keys and values", Value: env["kv"]},
	}, v.commonFacts()...)
}

// commonFacts says what does not depend on a bundle.
func (o *Options) commonFacts() []report.Fact {
	return []report.Fact{
		{Name: "text", Value: cmp.Or(o.Text.Name, storyName)},
		{Name: "program", Value: o.Program},
		{Name: "platform", Value: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		{Name: "written", Value: time.Now().UTC().Format("2006-01-02 15:04 UTC")},
	}
}

// bundleFiles names the files of a bundle and of its checkpoint. The tensors' hashes are in the
// manifest, so its own hash covers all of them.
func bundleFiles(s *source.Model) ([]report.File, error) {
	data, err := os.ReadFile(filepath.Join(s.Dir, bundle.ManifestName))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	files := []report.File{{Name: "bundle: " + bundle.ManifestName, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}}
	m := s.Bundle.Manifest
	for _, f := range m.Files {
		files = append(files, report.File{Name: "bundle: " + f.Name, Size: f.Size, SHA256: "of each tensor, in the manifest"})
	}
	if m.Tokenizer.SHA256 != "" {
		files = append(files, report.File{Name: "bundle: " + bundle.VocabName, Size: m.Tokenizer.Size, SHA256: m.Tokenizer.SHA256})
	}
	for _, f := range m.Source.Files {
		files = append(files, report.File{Name: "checkpoint: " + f.Name, Size: f.Size, SHA256: f.SHA256})
	}
	return files, nil
}
