//go:build js

package main

import (
	"context"
	"errors"
	"math"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	spec "github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// tune ({manifest, tokens, quick, progress, onStart}) looks for the fastest constants for the products and the attention of a
// model, of which it wants no weights. manifest is a Uint8Array, or null for the shape of a Llama 3.2 1B in int4; tokens says for
// passes of how many tokens, null: of some; progress is called with (done, of how many, what comes next); onStart as in load. It
// returns the results, of a search that was canceled, too.
func (a *app) tune(ctx context.Context, args []js.Value) (any, error) {
	in := args[0]
	ctx, end := cancelable(ctx, in)
	defer end()
	src, err := shapeOf(in)
	if err != nil {
		return nil, err
	}
	o := tune.Options{Quick: in.Get("quick").Truthy(), Progress: func(done, total int, now string) {
		in.Call("progress", done, total, now)
	}}
	if t := in.Get("tokens"); t.Truthy() {
		for i := range t.Length() {
			o.Tokens = append(o.Tokens, t.Index(i).Int())
		}
	}
	results, err := tune.Tune(ctx, a.dev, src, o)
	if err != nil && (len(results) == 0 || !errors.Is(err, context.Canceled)) {
		return nil, err
	}
	all := make([]any, len(results))
	for i, r := range results {
		all[i] = map[string]any{
			"kernel": r.Kernel, "version": kernels.Version(r.Kernel), "class": r.Class, "what": r.What, "tokens": r.Tokens, "uses": r.Uses,
			"default": constants(r.Default), "best": constants(r.Best), "before": 1e3 * r.Before.Seconds(), "after": 1e3 * r.After.Seconds(),
			"tried": r.Tried, "wrong": len(r.Wrong),
		}
	}
	return all, nil
}

// shapeOf returns the tensors of a bundle, or those of a small model of many products.
func shapeOf(in js.Value) (graph.Source, error) {
	if text := toGo(in.Get("manifest")); text != nil {
		m, err := bundle.ParseManifest(text)
		if err != nil {
			return nil, err
		}
		o := &outline{manifest: m}
		for i := range m.Tensors {
			o.tensors = append(o.tensors, m.Tensors[i].Model())
		}
		return o, nil
	}
	freq := make([]float32, 32)
	for i := range freq {
		freq[i] = float32(math.Pow(5e5, -float64(i)/32))
	}
	return tune.NewSynthetic(&spec.Spec{
		Family: "llama", Vocab: 128256, Hidden: 2048, MaxPositions: 131072, EmbedScale: 1, LogitScale: 1, TiedHead: true,
		Norm: spec.Norm{Kind: spec.RMSNorm, Eps: 1e-5}, RoPE: []spec.RoPE{{Dim: 64, InvFreq: freq, Scale: 1}},
		Kinds: []spec.Layer{{
			PreNorm: true, ResidualScale: 1,
			Attention: spec.Attention{Heads: 32, KVHeads: 8, HeadDim: 64, Scale: 0.125},
			MLP:       spec.MLP{Gated: true, Activation: spec.SiLU, Intermediate: 8192},
		}},
		Layers: make([]int, 16),
	}, 4, 128)
}

// outline is a bundle of which there is nothing but the manifest.
type outline struct {
	manifest *bundle.Manifest
	tensors  []spec.Tensor
}

var errOutline = errors.New("only the manifest is there")

func (o *outline) Spec() *spec.Spec                    { return &o.manifest.Spec }
func (o *outline) Tensors() []spec.Tensor              { return o.tensors }
func (o *outline) Rows(int, int, int, []float32) error { return errOutline }
func (o *outline) ReadAt(int, []byte, int64) error     { return errOutline }
func (o *outline) Packing(i int) (bits, block int) {
	t := &o.manifest.Tensors[i]
	return t.Type.Bits(), t.Block
}

// constants makes an object of constants.
func constants(t graph.Tuned) map[string]any {
	all := map[string]any{}
	for name, v := range t {
		all[name] = v
	}
	return all
}

// kept reads what tune has found earlier: an array of {kernel, version, class, best}, or null. Entries of kernels whose text has
// changed since then are left out, and so are values that tune does not try.
func kept(v js.Value) graph.Tuning {
	if !v.Truthy() {
		return nil
	}
	found := graph.Tuning{}
	for i := range v.Length() {
		e := v.Index(i)
		kernel := e.Get("kernel").String()
		tunable := graph.TunableOf(kernel)
		if tunable == nil || e.Get("version").String() != kernels.Version(kernel) {
			continue
		}
		use, best := graph.Tuned{}, e.Get("best")
		for _, c := range tunable.Values {
			use[c.Name] = number(best, c.Name)
		}
		key := graph.TuningKey{Kernel: kernel, Class: e.Get("class").String()}
		if (graph.Tuning{key: use}).Check() == nil {
			found[key] = use
		}
	}
	return found
}
