package web_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sort"
	"testing"
	"time"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// synthetic is a bundle of made-up int4 weights with finite logits. Its model.wgpu is generated as it is read.
type synthetic struct {
	manifest []byte
	header   []byte
	places   []place
	kinds    []bundle.Type
	size     int64 // bytes of model.wgpu
}

// newSynthetic makes up a bundle of the given shape.
func newSynthetic(spec model.Spec) (*synthetic, error) {
	m, places, text, err := madeUp(spec, bundle.Int4, repeated)
	if err != nil {
		return nil, err
	}
	s := &synthetic{manifest: text, header: blobHeader(m.ID, m.Files[0].Size), places: places, size: m.Files[0].Size}
	for _, t := range m.Tensors {
		s.kinds = append(s.kinds, t.Type)
	}
	return s, nil
}

// patterns are what the tensors of each type repeat: blocks of random codes around a zero-point of 8 with a
// scale of 1/256, and ones.
var patterns = map[bundle.Type][]byte{bundle.Int4: randomBlocks(1 << 14), bundle.F16: ones(1 << 14)}

func repeated(t bundle.Type) []byte { return patterns[t] }

func randomBlocks(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint16(b, 0x1c00)
		b = append(b, 8)
		for range 8 {
			b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
		}
	}
	return b
}

func ones(n int) []byte {
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint16(b, 0x3c00)
	}
	return b
}

// ReadAt reads from model.wgpu.
func (s *synthetic) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < s.size {
		var from []byte
		space := int64(len(s.header)) - off
		if space > 0 {
			from = s.header[off:]
		} else {
			i := sort.Search(len(s.places), func(i int) bool { return s.places[i].Offset > off }) - 1
			t, pattern := s.places[i], patterns[s.kinds[i]]
			space = t.Offset + t.Space - off
			from = pattern[(off-t.Offset)%int64(len(pattern)):]
		}
		k := copy(p[n:], from[:min(int64(len(from)), space)])
		n += k
		off += int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ServeHTTP serves manifest.json and model.wgpu.
func (s *synthetic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/"+bundle.ManifestName {
		_, _ = w.Write(s.manifest) // fails only if the client has gone
		return
	}
	http.ServeContent(w, r, bundle.BlobName, time.Time{}, io.NewSectionReader(s, 0, s.size))
}

// threadTime returns the CPU seconds that the page's main thread has used so far.
func threadTime(ctx context.Context, b *testing.B) float64 {
	b.Helper()
	var at float64
	err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		metrics, err := performance.GetMetrics().Do(ctx)
		for _, m := range metrics {
			if m.Name == "ThreadTime" {
				at = m.Value
				return err
			}
		}
		return fmt.Errorf("the browser tells no ThreadTime: %w", err)
	}))
	if err != nil {
		b.Fatal(err)
	}
	return at
}

// BenchmarkToken generates tokens in Chromium with made-up weights and reports the CPU time of the thread that the
// package runs in: JavaScript, WebAssembly, and WebGPU calls until they are sent to the GPU process. It includes neither
// the GPU's time nor the page's at rest. The layers, their kernels and the vocabulary are those of llama-3.2-1b; the
// vectors are an eighth as wide, so that a software GPU takes reasonable time. The width makes no difference to the CPU.
func BenchmarkToken(b *testing.B) {
	config, err := os.ReadFile("../llm/bench/shapes/llama-3.2-1b.json")
	if err != nil {
		b.Fatal(err)
	}
	spec, err := hf.ParseConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	spec.Hidden /= 8
	spec.Kinds[0].MLP.Intermediate /= 8
	spec.Kinds[0].Attention.Heads, spec.Kinds[0].Attention.KVHeads = 4, 1
	s, err := newSynthetic(*spec)
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(".")))
	mux.Handle("/model/", http.StripPrefix("/model", s))
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx, cancel := context.WithTimeout(browser(b, withGPU()...), 9*time.Minute)
	defer cancel()
	err = chromedp.Run(ctx, performance.Enable().WithTimeDomain(performance.EnableTimeDomainThreadTicks),
		chromedp.Navigate(server.URL+"/test/bench.html"),
		chromedp.Evaluate("ready", nil, awaited), chromedp.Evaluate("token(8)", nil, awaited))
	if err != nil {
		b.Fatal(err)
	}
	before := threadTime(ctx, b)
	const idle = 2 * time.Second
	time.Sleep(idle)
	atRest := (threadTime(ctx, b) - before) / idle.Seconds() // seconds per second
	b.ResetTimer()
	before = threadTime(ctx, b)
	var counts map[string]float64
	if err := chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf("token(%d)", b.N), &counts, awaited)); err != nil {
		b.Fatal(err)
	}
	took := threadTime(ctx, b) - before - atRest*b.Elapsed().Seconds()
	b.ReportMetric(1000*took/float64(b.N), "cpu-ms/token")
	for what, n := range counts {
		b.ReportMetric(n/float64(b.N), url.PathEscape(what)+"/token")
	}
}
