package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// side is one of the two programs that are compared.
type side struct {
	program, dir string
	key          string // what its work follows from beside the commands; empty: nothing is kept
}

// result is what became of a job on both sides.
type result struct {
	failed [2]error
	diffs  []diff
	counts map[string]int // things compared, by kind
}

// work does the jobs on both sides, several at once, and compares.
func work(ctx context.Context, jobs []job, sides [2]side, workers int) []result {
	results := make([]result, len(jobs))
	next := make(chan int)
	var group sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range workers {
		group.Go(func() {
			for i := range next {
				results[i] = jobs[i].compare(ctx, sides)
				mu.Lock()
				done++
				fmt.Fprintf(os.Stderr, "%3d of %d  %s\n", done, len(jobs), jobs[i].name)
				mu.Unlock()
			}
		})
	}
	for i := range jobs {
		if ctx.Err() == nil {
			next <- i
		}
	}
	close(next)
	group.Wait()
	return results
}

func (j job) compare(ctx context.Context, sides [2]side) (r result) {
	for i, s := range sides {
		r.failed[i] = j.do(ctx, s)
	}
	if errors.Join(r.failed[:]...) != nil {
		return r
	}
	r.counts = map[string]int{}
	for _, s := range j.steps {
		for _, m := range s.makes {
			diffs, n, err := m.compare(filepath.Join(sides[0].dir, j.name), filepath.Join(sides[1].dir, j.name))
			if err != nil {
				r.failed[1] = err
				return r
			}
			r.counts[m.kind] += n
			r.diffs = append(r.diffs, diffs...)
		}
	}
	return r
}

// do runs the job's commands on one side, unless what they make is still there.
func (j job) do(ctx context.Context, s side) error {
	dir := filepath.Join(s.dir, j.name)
	mark, id := filepath.Join(dir, "done"), j.id(s.key)
	if old, err := os.ReadFile(mark); err == nil && s.key != "" && string(old) == id {
		return nil
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o777)); err != nil {
		return err
	}
	for _, step := range j.steps {
		if err := step.do(ctx, s.program, dir); err != nil {
			return err
		}
	}
	return os.WriteFile(mark, []byte(id), 0o666)
}

// id names the work: its commands and what they follow from.
func (j job) id(key string) string {
	sum := sha256.New()
	fmt.Fprintln(sum, key)
	for _, s := range j.steps {
		fmt.Fprintf(sum, "%q %q\n", s.args, s.stdout)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// do runs one command in a directory.
func (s step) do(ctx context.Context, program, dir string) error {
	c := exec.CommandContext(ctx, program, s.args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "LLAMA_WEBGPU_TUNING=off")
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if code := c.ProcessState.ExitCode(); err != nil && (ctx.Err() != nil || !slices.Contains(s.codes, code)) {
		return fmt.Errorf("llama-webgpu %s: %w: %s", strings.Join(s.args, " "), err, strings.TrimSpace(complaint.String()))
	}
	if s.stdout == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, s.stdout), out, 0o666)
}
