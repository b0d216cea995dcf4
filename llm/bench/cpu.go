package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// RunCPU measures a model on the CPU engine, which has one sequence. Made-up weights are written to a temporary bundle
// first, because the engine reads files. What Options say of kernels and GPUs does not count.
func RunCPU(ctx context.Context, m *Model, o Options) (r *Report, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if most(o.Batches) > 1 || len(o.Clients) > 0 || o.LoadOnly || o.Profile {
		return nil, errors.New("bench: the CPU engine has one sequence, loads nothing, and is not measured behind the server or with a profile")
	}
	b := &benchmark{Options: o, model: m}
	b.report = Report{Device: engine.CPUName(), Engine: "cpu", Model: m.name, Format: m.format}
	disk := m.disk
	if disk == nil {
		dir, err := os.MkdirTemp("", "llama-webgpu-bench-*")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if disk, err = b.store(ctx, m.made, filepath.Join(dir, "bundle")); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, disk.Close()) }()
	} else if !o.NoCheck {
		if err := disk.Bundle.Check(ctx, func(int64, int64) {}); err != nil {
			return nil, fmt.Errorf("%s: %w", disk.Dir, err)
		}
	}
	roof := cpu.MeasureRoof()
	b.report.Roof.FLOPs, b.report.Read = roof.FLOPs, roof.Read
	return &b.report, b.measureCPU(ctx, disk)
}

// measureCPU measures prompts and generation.
func (b *benchmark) measureCPU(ctx context.Context, m *source.Model) error {
	length := most(b.Prompts)
	for _, n := range b.Contexts {
		length = max(length, n+b.Tokens)
	}
	opened, err := engine.NewCPU(m, engine.Options{Context: length, KVBits: b.KVBits})
	if err != nil {
		return err
	}
	e := opened.Forwarder.(*cpu.Engine)
	memory := e.Memory()
	b.report.OwnMemory, b.report.Mapped = uint64(memory.Own()), uint64(memory.Mapped)
	for _, n := range b.Prompts {
		_, _, weights := e.TokenWork(0)
		err := b.repeat(Speed{Test: "pp" + strconv.Itoa(n), Batch: 1, Tokens: n, FLOPs: 2 * float64(weights)}, func() (time.Duration, error) {
			e.Reset()
			return timeCPU(ctx, e, n, n)
		})
		if err != nil {
			return err
		}
	}
	for _, from := range b.Contexts {
		weights, cache, _ := e.TokenWork(from)
		r := Speed{Test: "tg" + strconv.Itoa(b.Tokens), Context: from, Batch: 1, Tokens: b.Tokens, Bytes: uint64(weights + cache)}
		err := b.repeat(r, func() (time.Duration, error) {
			e.Reset()
			e.Skip(from)
			return timeCPU(ctx, e, b.Tokens, 1)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// timeCPU feeds n tokens, so many at a time, and makes the logits of the last of each.
func timeCPU(ctx context.Context, e *cpu.Engine, n, step int) (time.Duration, error) {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(i*7919) % int32(e.VocabSize())
	}
	begun := time.Now()
	for i := 0; i < n; i += step {
		if err := e.Forward(ctx, tokens[i:i+step], step-1, func(int, []float32) error { return nil }); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}
