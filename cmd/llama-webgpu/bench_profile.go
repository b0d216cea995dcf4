package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// profile is where the time of one pass went, by the device's clock. Times are in seconds.
type profile struct {
	Title   string         `json:"title"`
	Tokens  int            `json:"tokens"`
	Context int            `json:"context"`
	Seconds float64        `json:"seconds"`        // from the first dispatch's beginning to the last one's end
	Kernel  float64        `json:"kernel_seconds"` // of these, while a kernel ran …
	Gap     float64        `json:"gap_seconds"`    // … and while none did
	Kernels []kernelResult `json:"kernels"`

	list []tune.Dispatch
}

type kernelResult struct {
	Kernel     string  `json:"kernel"`
	Dispatches int     `json:"dispatches"`
	Seconds    float64 `json:"seconds"`
	Gap        float64 `json:"gap_seconds"` // before its dispatches
	Bytes      uint64  `json:"bytes"`
	FLOPs      uint64  `json:"flops"`
	Roof       float64 `json:"share_of_roof"`
	Bound      string  `json:"bound,omitempty"` // what the roof is: copy or float32
	Compile    float64 `json:"compile_seconds"`
}

// profiles times a prompt, and a token at the smallest and at the largest context.
func (b *benchmark) profiles(ctx context.Context) error {
	prompt := min(512, b.most("prompt", 1))
	if err := b.profile(ctx, fmt.Sprintf("a prompt of %d tokens", prompt), 0, prompt); err != nil {
		return err
	}
	contexts := []int{0}
	if all := b.c.IntSlice("context"); len(all) > 0 {
		contexts = slices.Compact([]int{slices.Min(all), slices.Max(all)})
	}
	for _, n := range contexts {
		if err := b.profile(ctx, fmt.Sprintf("a token at context %d", n), n, 1); err != nil {
			return err
		}
	}
	if path := b.c.String("trace"); path != "" {
		return writeTrace(path, b.report.Profiles)
	}
	return nil
}

// profile times the pass of n tokens after a context. The first time, which a driver may do more at, does
// not count.
func (b *benchmark) profile(ctx context.Context, title string, length, n int) (err error) {
	p := profile{Title: title, Tokens: n, Context: length}
	for range 2 {
		if err := b.t.Rewind(length); err != nil {
			return err
		}
		if p.list, err = tune.Profile(ctx, b.t, make([]int32, n)); err != nil {
			return err
		}
	}
	p.Seconds = p.list[len(p.list)-1].End.Seconds()
	for _, k := range tune.ByKernel(b.dev, p.list) {
		r := kernelResult{
			Kernel: k.Key, Dispatches: k.Dispatches, Seconds: k.Time.Seconds(), Gap: k.Gap.Seconds(),
			Bytes: k.Bytes, FLOPs: k.FLOPs, Compile: k.Compile.Seconds(),
		}
		if k.Bytes+k.FLOPs > 0 && k.Time > 0 {
			var memory bool
			r.Roof, memory = b.report.Roof.Share(k.Bytes, k.FLOPs, k.Time)
			r.Bound = map[bool]string{true: "copy", false: "float32"}[memory]
		}
		p.Kernel += r.Seconds
		p.Gap += r.Gap
		p.Kernels = append(p.Kernels, r)
	}
	b.report.Profiles = append(b.report.Profiles, p)
	return nil
}

// traceEvent is an event of Chrome's trace format. Times are in microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"` // X: from Time on for Duration; M: metadata
	Time     float64        `json:"ts"`
	Duration float64        `json:"dur"`
	Process  int            `json:"pid"` // the profile
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args"`
}

// traceEvents returns an event for each dispatch; every profile is a process.
func traceEvents(profiles []profile) []traceEvent {
	var events []traceEvent
	micro := func(d time.Duration) float64 { return float64(d) / 1e3 }
	for i, p := range profiles {
		events = append(events, traceEvent{Name: "process_name", Phase: "M", Process: i + 1, Thread: 1, Args: map[string]any{"name": p.Title}})
		for _, d := range p.list {
			name, _, _ := strings.Cut(d.Key, "/")
			events = append(events, traceEvent{
				Name: name, Category: d.Part, Phase: "X", Time: micro(d.Begin), Duration: micro(d.Time()), Process: i + 1, Thread: 1,
				Args: map[string]any{"kernel": d.Key, "part": d.Part, "bytes": d.Bytes, "flops": d.FLOPs},
			})
		}
	}
	return events
}

// writeTrace writes profiles as Chrome and Perfetto read them.
func writeTrace(path string, profiles []profile) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = json.NewEncoder(w).Encode(map[string]any{"displayTimeUnit": "ns", "traceEvents": traceEvents(profiles)})
	return errors.Join(err, w.Flush(), f.Close())
}
