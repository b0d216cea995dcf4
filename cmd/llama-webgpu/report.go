package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/verify"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
)

// reportFlags say where verify writes, and what is in the page.
var reportFlags = []cli.Flag{
	&cli.StringFlag{Name: "html", Usage: "`FILE`: write a page for people to read", Category: "Output"},
	&cli.IntFlag{Name: "worst", Value: 20, Usage: "the page has the `N` worst predictions", Category: "Output"},
	&cli.IntFlag{Name: "generate", Value: 48, Usage: "the page has `N` tokens that each model writes, the checkpoint on the CPU; 0: no text", Category: "Output"},
	&cli.StringFlag{Name: "junit", Usage: "`FILE`: write the checks as JUnit XML", Category: "Output"},
	&cli.BoolFlag{Name: "record", Usage: "record the result in the bundle's manifest", Category: "Output", DisableDefaultText: true},
}

// promptTokens is how much of the text the models are to continue, and contextBefore and
// contextAfter how much is shown around a bad prediction.
const (
	promptTokens  = 32
	contextBefore = 32
	contextAfter  = 12
)

// details measures what only the page shows: the residual stream and generated text.
func (v *verification) details(ctx context.Context) error {
	if v.c.String("html") == "" {
		return nil
	}
	ref, err := onCPU(v.source, verify.ReferenceOptions{MaxSeqLen: v.context(), Vector: true})
	if err != nil {
		return err
	}
	wait := newBar(v.c, "layers and text", -1, false)
	defer wait.end()
	tokens := v.windows[0][:min(v.context(), v.c.Int("runtime-tokens"))]
	if v.report.Details.Layers, err = verify.MeasureLayers(ctx, ref, v.engine.Forwarder, tokens); err != nil {
		return err
	}
	return v.generate(ctx, ref)
}

// generate lets both models continue the beginning of the text.
func (v *verification) generate(ctx context.Context, ref *verify.Reference) error {
	prompt := v.windows[0][:min(promptTokens, v.context()/2)]
	n := min(v.c.Int("generate"), v.context()-len(prompt))
	if n <= 0 {
		return nil
	}
	tok, err := v.bundle.Tokenizer()
	if err != nil {
		return err
	}
	var texts [2]generation
	for i, e := range []*engine{{Forwarder: ref}, v.engine} {
		s, err := sample.New(sample.Options{RepeatPenalty: 1, TopP: 1})
		if err != nil {
			return err
		}
		texts[i] = generation{tok: tok, eos: v.bundle.EOS, prompt: prompt}
		e.Reset()
		if err := texts[i].run(ctx, e, s, n); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	a, b := texts[0].tokens, texts[1].tokens
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	v.text = &report.Text{
		Prompt: tok.Decode(prompt, true), Reference: texts[0].text, Bundle: texts[1].text,
		Same: same, Tokens: max(len(a), len(b)),
	}
	return nil
}

// checkRecord reports that the result cannot be written into the manifest.
func checkRecord(c *cli.Context) error {
	if !c.Bool("record") {
		return nil
	}
	if err := outdir.CheckWritable(c.String("model")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--record: %w", err)
	}
	return nil
}

// record writes the result into the manifest.
func (v *verification) record() error {
	if !v.c.Bool("record") {
		return nil
	}
	p := &bundle.Parity{Pass: v.report.Pass}
	if r := v.report.Runtime; r != nil {
		p.Runtime = &bundle.Runtime{MaxAbs: r.MaxAbs, RelRMS: r.RelRMS}
	}
	if d := v.report.Drift; d != nil {
		p.Drift = &bundle.Drift{MeanKLD: d.MeanKLD, Top1: d.Top1, PPL: d.PPL, PPLReference: d.PPLReference}
	}
	if err := bundle.SetParity(v.bundle.Dir, p); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// writeFiles writes the page and the JUnit file, if they are wanted.
func (v *verification) writeFiles() error {
	if path := v.c.String("junit"); path != "" {
		err := writeFile(path, func(w io.Writer) error { return report.WriteJUnit(w, filepath.Base(v.bundle.Dir), &v.report) })
		if err != nil {
			return err
		}
	}
	path := v.c.String("html")
	if path == "" {
		return nil
	}
	page, err := v.page()
	if err != nil {
		return err
	}
	return writeFile(path, func(w io.Writer) error { return report.Write(w, page) })
}

// writeFile writes a file, and nothing if what is to be in it cannot be made.
func writeFile(path string, write func(io.Writer) error) error {
	var data bytes.Buffer
	if err := write(&data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, data.Bytes(), 0o644)
}

// page puts together what the page shows.
func (v *verification) page() (*report.Page, error) {
	m := v.bundle.Bundle.Manifest
	p := &report.Page{
		Bundle: baseName(v.bundle.Dir), Reference: baseName(v.source.Dir), Report: &v.report, Text: v.text,
		Summary: m.Quantization.String(), Tensors: tensorErrors(m), Facts: v.facts(),
	}
	var err error
	if p.Files, err = bundleFiles(v.bundle); err != nil {
		return nil, err
	}
	if d := v.report.Details; d != nil {
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
				Name: t.Name, Role: string(t.Role), Layer: t.Layer, Stored: storedAs(string(t.Type), t.Block), Error: t.Error,
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
	facts := []report.Fact{
		{Name: "bundle id", Value: m.ID},
		{Name: "made by", Value: m.Generator},
		{Name: "device", Value: env["device"]},
		{Name: "cached keys and values", Value: env["kv"]},
	}
	return slices.Concat(facts, commonFacts(v.c))
}

// commonFacts says what does not depend on a bundle.
func commonFacts(c *cli.Context) []report.Fact {
	text := c.String("text")
	if text == "" {
		text = "A Case of Identity, Arthur Conan Doyle, 1892"
	}
	return []report.Fact{
		{Name: "text", Value: text},
		{Name: "program", Value: "llama-webgpu " + version + revision()},
		{Name: "platform", Value: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		{Name: "written", Value: time.Now().UTC().Format("2006-01-02 15:04 UTC")},
	}
}

// bundleFiles names the files of a bundle and of its checkpoint. The tensors' hashes are in the
// manifest, so that its own stands for all of them.
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

// layerBits reports the bits per weight of the matrices in the layers, scales included: embedding
// and head, which weigh so much in a small model and so little in a large one, stand apart.
func layerBits(m *bundle.Manifest) (layers, all float64) {
	var bytes, n, bytesAll, nAll int64
	for i := range m.Tensors {
		t := m.Tensors[i].Model()
		count := model.Elements([]model.Tensor{t})
		bytesAll, nAll = bytesAll+m.Tensors[i].Length, nAll+count
		if t.Quantizable() && t.Layer >= 0 {
			bytes, n = bytes+m.Tensors[i].Length, n+count
		}
	}
	return 8 * float64(bytes) / float64(max(n, 1)), 8 * float64(bytesAll) / float64(max(nAll, 1))
}
