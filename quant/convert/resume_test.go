package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// stop converts f until a matrix, the given one or a later one, is read, and returns the output that
// there is to be.
func stop(t *testing.T, f *fake, src Source, tensor int, o Options) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f.hook = func(i, _, _ int) error {
		if i >= tensor && f.tensors[i].Quantizable() {
			awaitHashes(t, filepath.Dir(out), src)
			cancel()
		}
		return nil
	}
	_, err := Run(ctx, src, out, o)
	f.hook = nil
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	return out
}

// awaitHashes returns when a conversion below dir has noted the hashes of the checkpoint's files, which it computes on the
// side.
func awaitHashes(t *testing.T, dir string, src Source) {
	for range 1000 {
		noted := 0
		for _, path := range src.Files {
			sum, err := hashFile(t.Context(), path, make([]byte, 1<<10))
			if err != nil {
				t.Error(err)
			}
			if journals, _ := filepath.Glob(filepath.Join(dir, ".*", "journal")); slices.ContainsFunc(journals, func(journal string) bool {
				data, _ := os.ReadFile(journal)
				return bytes.Contains(data, []byte(sum))
			}) {
				noted++
			}
		}
		if noted == len(src.Files) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the hashes of the checkpoint's files were not noted")
}

// TestResume interrupts a conversion at each tenth tensor, goes on, and compares the bytes with those
// of a conversion in one go.
func TestResume(t *testing.T) {
	f := newFake()
	src := source(t, f)
	o := Options{Format: "int4", Method: "rtn", MaxFile: 250 << 10, Threads: 2}
	whole, r, err := run(t, src, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Manifest.Files) < 3 {
		t.Fatalf("files: %v", r.Manifest.Files)
	}
	o.Stale = outdir.Resume
	for tensor := 3; tensor < len(f.tensors); tensor += 6 {
		out := stop(t, f, src, tensor, o)
		first := len(f.tensors)
		f.hook = func(i, _, _ int) error {
			if f.tensors[i].Quantizable() {
				first = min(first, i)
			}
			return nil
		}
		o := o
		o.Threads = 1
		if _, err := Run(context.Background(), src, out, o); err != nil {
			t.Fatal(err)
		}
		f.hook = nil
		if first == 0 && tensor > 8 {
			t.Errorf("stopped at tensor %d, it was begun anew", tensor)
		}
		entries, err := os.ReadDir(whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			want, _ := os.ReadFile(filepath.Join(whole, e.Name()))
			if got, err := os.ReadFile(filepath.Join(out, e.Name())); err != nil || !bytes.Equal(got, want) {
				t.Errorf("stopped at tensor %d: %s differs: %v", tensor, e.Name(), err)
			}
		}
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 1 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestResumeOther goes on with something else than what was begun.
func TestResumeOther(t *testing.T) {
	begun := Options{Format: "int4", Method: "rtn"}
	later := func(path string) { // the same bytes, another time
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(f *fake, s *Source, o *Options)
		want   string // "": it goes on
	}{
		"method": {func(_ *fake, _ *Source, o *Options) { o.Method = "search" }, `other options: method was "rtn", now "search"`},
		"override": {func(_ *fake, _ *Source, o *Options) {
			o.Overrides = []Override{{Match: regexp.MustCompile("q"), Format: "f16"}}
		}, `other options: overrides was nothing, now [{"match":"q","format":"f16"}]`},
		"file size": {func(_ *fake, _ *Source, o *Options) { o.MaxFile = 1 << 20 }, "other options: max_shard_size was nothing, now 1048576"},
		"program":   {func(_ *fake, _ *Source, o *Options) { o.Generator = "x 2" }, "this is x 2"},
		"size":      {func(_ *fake, s *Source, _ *Options) { write(s.Files[0], "longer than it was, much, because paths are") }, "bytes, now it has"},
		"tokenizer": {func(_ *fake, s *Source, _ *Options) { s.Tokenizer = []byte("x") }, "the tokenizer has changed"},
		"time only": {func(_ *fake, s *Source, _ *Options) { later(s.Files[0]) }, ""},
		"same size": {func(_ *fake, s *Source, _ *Options) {
			write(s.Files[0], strings.Repeat("x", len(s.Files[0])))
			later(s.Files[0])
		}, "model.safetensors was written since it began"},
		"same size and time": {func(_ *fake, s *Source, _ *Options) {
			info, err := os.Stat(s.Files[0])
			if err != nil {
				t.Fatal(err)
			}
			write(s.Files[0], strings.Repeat("x", len(s.Files[0])))
			if err := os.Chtimes(s.Files[0], time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, "has changed since the conversion began"},
		"end of text": {func(_ *fake, s *Source, _ *Options) { s.EOS = []int{3} }, "has changed"},
		"nothing":     {func(*fake, *Source, *Options) {}, ""},
		"threads":     {func(_ *fake, _ *Source, o *Options) { o.Threads = 3 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			src := source(t, f)
			out := stop(t, f, src, len(f.tensors)-1, begun)
			o := begun
			o.Stale = outdir.Resume
			c.change(f, &src, &o)
			_, err := Run(context.Background(), src, out, o)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			if errors.Is(err, ErrChanged) {
				if _, err := Run(context.Background(), src, out, Options{Format: "int4"}); !errors.Is(err, outdir.ErrUnfinished) {
					t.Errorf("what was refused is gone: %v", err)
				}
			}
		})
	}
}

// TestFault converts a checkpoint of which a file is cut short while it is read.
func TestFault(t *testing.T) {
	f := newFake()
	src := source(t, f)
	lost := fmt.Errorf("model.safetensors: %w", mapped.ErrFault)
	f.hook = func(i, _, _ int) error {
		if i == 5 {
			return lost
		}
		return nil
	}
	if _, _, err := run(t, src, Options{Format: "int4", Method: "rtn"}); !errors.Is(err, lost) {
		t.Errorf("error is %v", err)
	}
	f.hook = func(i, _, _ int) error {
		if i == 5 {
			if err := os.Truncate(src.Files[0], 1); err != nil {
				return err
			}
			return lost
		}
		return nil
	}
	if _, _, err := run(t, src, Options{Format: "int4", Method: "rtn"}); err == nil || !strings.Contains(err.Error(), src.Files[0]+": was written while") {
		t.Errorf("error is %v", err)
	}
}

func TestLook(t *testing.T) {
	f := newFake()
	src := source(t, f)
	o := Options{Format: "int4", MaxFile: 400 << 10, Overrides: []Override{
		{Match: regexp.MustCompile(`0\.down`), Format: "int8", Block: 32},
		{Match: regexp.MustCompile(`down|embed`), Format: "int2"},
	}, EmbedFormat: "f16"}
	v, err := Look(context.Background(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	_, r, err := run(t, src, o)
	if err != nil {
		t.Fatal(err)
	}
	if v.In != r.In || v.Out != r.Out || len(v.Files) != len(r.Manifest.Files) || v.Time <= 0 || v.Disk < v.Out {
		t.Errorf("%+v, then %+v", v, r)
	}
	for i, e := range r.Manifest.Tensors {
		if p := v.Planned[i]; p.Type != e.Type || p.Block != e.Block || p.Offset != e.Offset || p.File != e.File {
			t.Errorf("%s is planned as %+v, became %+v", e.Name, p, e)
		}
	}
	for name, want := range map[string]bundle.Tensor{
		"model.0.down": {Type: "int8", Block: 32}, "model.1.down": {Type: "int2", Block: 256},
		"model.-1.embed": {Type: "int2", Block: 256}, "model.0.q": {Type: "int4", Block: 128},
	} {
		for _, p := range v.Planned {
			if p.Name == name && (p.Type != want.Type || p.Block != want.Block) {
				t.Errorf("%s is %s/%d, want %s/%d", name, p.Type, p.Block, want.Type, want.Block)
			}
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(src.Files[0])); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOverrideErrors(t *testing.T) {
	for want, o := range map[string]Override{
		`format "int5"`:                 {Match: regexp.MustCompile("q"), Format: "int5"},
		"f16 has no blocks":             {Match: regexp.MustCompile("q"), Format: "f16", Block: 32},
		"block size 100":                {Match: regexp.MustCompile("q"), Format: "int8", Block: 100},
		"matches the name of no matrix": {Match: regexp.MustCompile("norm"), Format: "int8"},
	} {
		_, _, err := run(t, source(t, newFake()), Options{Format: "int4", Overrides: []Override{o}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %s", err, want)
		}
	}
}
