package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// TestShapes lays out every shape that comes with bench, in every format, for a device with bindings of
// 2 GiB, and checks the size of the weights.
func TestShapes(t *testing.T) {
	weights := map[string]float64{
		"llama-3.1-8b": 8.03e9, "llama-3.2-1b": 1.236e9, "llama-4-scout-1layer": 4.27e9, "qwen3-4b": 4.02e9,
		"deepseek-v3-1layer": 13.38e9, "gpt-oss-20b": 20.91e9, "qwen3-30b-a3b": 30.53e9, "qwen3.5-9b": 8.954e9,
	}
	padded := map[string]map[string]float64{"gpt-oss-20b": {"int8": 2944. / 2880, "int4": 2944. / 2880, "int2": 3072. / 2880}} // rows of whole blocks
	bits := map[string]float64{"int8": 8.25, "int4": 4.25, "int2": 2.125, "f16": 16}                                           // on the device
	for _, name := range Shapes() {
		for format, each := range bits {
			m, err := OpenShape(name, format, 0)
			if err != nil {
				t.Fatal(err)
			}
			need, err := transformer.Need(m.made, transformer.Options{MaxBatch: 8, MaxSeqLen: 1024}, 2<<30)
			if err != nil {
				t.Errorf("%s %s: %v", name, format, err)
				continue
			}
			if got, want := float64(need["weights"]), weights[name]*each/8*max(1, padded[name][format]); got < want*0.99 || got > want*1.02 {
				t.Errorf("%s %s: %.0f bytes of weights, want about %.0f", name, format, got, want)
			}
		}
	}
}

// TestTrace reads a trace back: events in order, times in microseconds.
func TestTrace(t *testing.T) {
	list := []tune.Dispatch{
		{Key: "embed/BITS=4", Part: "embedding", Timing: gpu.Timing{Begin: 0, End: 1500}},
		{Key: "matvec/BITS=4", Part: "layer 0", Bytes: 1000, FLOPs: 4000, Timing: gpu.Timing{Begin: 2500, End: 2500 + time.Millisecond}},
	}
	var data bytes.Buffer
	if err := WriteTrace(&data, []Profile{{Title: "a prompt", list: list[:1]}, {Title: "a token", list: list}}); err != nil {
		t.Fatal(err)
	}
	var trace struct{ TraceEvents []traceEvent }
	if err := json.Unmarshal(data.Bytes(), &trace); err != nil {
		t.Fatal(err)
	}
	if n := len(trace.TraceEvents); n != 5 {
		t.Fatalf("%d events, want 5", n)
	}
	e := trace.TraceEvents[4]
	if e.Name != "matvec" || e.Category != "layer 0" || e.Phase != "X" || e.Process != 2 || e.Time != 2.5 || e.Duration != 1000 {
		t.Errorf("the last event is %+v", e)
	}
	if e.Args["bytes"] != 1000.0 || e.Args["flops"] != 4000.0 || e.Args["kernel"] != "matvec/BITS=4" {
		t.Errorf("its arguments are %v", e.Args)
	}
}

func TestCheck(t *testing.T) {
	good := Options{Prompts: []int{512}, Contexts: []int{0}, Batches: []int{1}, Tokens: 1, Repetitions: 1}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Options){
		"prompts: 0":     func(o *Options) { o.Prompts = []int{512, 0} },
		"contexts: -1":   func(o *Options) { o.Contexts = []int{-1} },
		"batches: -2":    func(o *Options) { o.Batches = []int{1, -2} },
		"tokens: 0":      func(o *Options) { o.Tokens = 0 },
		"repetitions: 0": func(o *Options) { o.Repetitions = 0 },
		"9 to 8 tokens":  func(o *Options) { o.Clients, o.ClientPrompt = []int{1}, [2]int{9, 8} },
	} {
		o := good
		change(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestWarmUp: a device that runs at a part of its clock at first, for several runs that take the same time, is not measured yet.
func TestWarmUp(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		least, most time.Duration
		takes       func(i int) time.Duration
		want        int // runs
	}{
		"a clock that rises": {500 * ms, 3000 * ms, func(i int) time.Duration {
			if i < 5 {
				return 36 * ms
			}
			return 8 * ms
		}, 5 + 40},
		"a CPU":              {0, 0, func(int) time.Duration { return 7 * ms }, 1},
		"long runs":          {500 * ms, 3000 * ms, func(int) time.Duration { return 900 * ms }, 2},
		"never twice alike":  {500 * ms, 3000 * ms, func(i int) time.Duration { return time.Duration(100+100*(i%2)) * ms }, 20},
		"a first that loads": {100 * ms, 3000 * ms, func(i int) time.Duration { return time.Duration(50+950*max(0, 1-i)) * ms }, 3},
	} {
		runs := 0
		err := warmUp(c.least, c.most, func() (time.Duration, error) { runs++; return c.takes(runs - 1), nil })
		if err != nil || runs != c.want {
			t.Errorf("%s: %d runs, want %d; %v", name, runs, c.want, err)
		}
	}
	if err := warmUp(0, 0, func() (time.Duration, error) { return 0, errors.New("lost") }); err == nil {
		t.Error("no error")
	}
}
