package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// TestParts compares a bundle of several files with one of a single file.
func TestParts(t *testing.T) {
	one := formats["many"]
	one.MaxFile = 0
	single := open(t, store(t, files(t, one)))
	f := files(t, formats["many"])
	many := open(t, store(t, f))
	if err := many.Check(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if single.Manifest.ID == many.Manifest.ID {
		t.Error("bundles that differ have the same id")
	}
	for i, e := range many.Manifest.Tensors {
		if want := single.Manifest.Tensors[i].SHA256; e.SHA256 != want {
			t.Errorf("%s differs", e.Name)
		}
		raw := make([]byte, e.Length)
		if err := many.ReadAt(i, raw, 0); err != nil || sha(raw) != e.SHA256 {
			t.Errorf("%s: ReadAt: %v", e.Name, err)
		}
	}
	for _, file := range many.Manifest.Files {
		if file.Size > formats["many"].MaxFile {
			t.Errorf("%s has %d bytes", file.Name, file.Size)
		}
	}
	checkSwaps(t, f, many.Manifest)
}

// checkSwaps damages a bundle of several files as only such a one can be.
func checkSwaps(t *testing.T, f map[string][]byte, m *bundle.Manifest) {
	first, second := m.Files[0].Name, m.Files[1].Name
	for name, c := range map[string]struct {
		do   func(f map[string][]byte)
		want string
	}{
		"exchanged":     {func(f map[string][]byte) { f[first], f[second] = f[second], f[first] }, first + ": damaged bundle: "},
		"missing":       {func(f map[string][]byte) { delete(f, second) }, second + ": damaged bundle: missing: the manifest has it with 8192 bytes"},
		"cut":           {func(f map[string][]byte) { f[second] = f[second][:1000] }, second + ": damaged bundle: the file has 1000 bytes"},
		"of another id": {func(f map[string][]byte) { f[second][20] ^= 1 }, second + ": damaged bundle: header: bundle id"},
		"first twice": {func(f map[string][]byte) {
			f[second] = append(bytes.Clone(f[second][:40]), append([]byte{0}, f[second][41:]...)...)
		}, second + ": damaged bundle: header: file number 0: in this place the manifest has number 1"},
		"a bit of a tensor": {func(f map[string][]byte) { f[second][300] ^= 1 }, second + `: tensor "`},
	} {
		broken := map[string][]byte{}
		for name, data := range f {
			broken[name] = bytes.Clone(data)
		}
		c.do(broken)
		if err := verify(t, broken); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %s", name, err, c.want)
		}
	}
}

// TestReadersOfParts makes a bundle without a directory.
func TestReadersOfParts(t *testing.T) {
	f := files(t, formats["many"])
	m, err := bundle.ParseManifest(f["manifest.json"])
	if err != nil {
		t.Fatal(err)
	}
	var blobs []bundle.Blob
	for _, file := range m.Files {
		blobs = append(blobs, bundle.Blob{ReaderAt: bytes.NewReader(f[file.Name]), Size: int64(len(f[file.Name]))})
	}
	b, err := bundle.NewFiles(f["manifest.json"], blobs...)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if _, err := bundle.New(f["manifest.json"], blobs[0], blobs[0].Size); err == nil || !strings.Contains(err.Error(), "there are 1") {
		t.Errorf("one of several files: %v", err)
	}
}

func TestTooLargeForAFile(t *testing.T) {
	in := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(in, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	_, err := convert.Run(context.Background(), convert.Source{Weights: newFake(), Files: []string{in}}, out, convert.Options{Format: "int4", MaxFile: 3000})
	if err == nil || !strings.Contains(err.Error(), `tensor "model.0.q": takes 2680 bytes`) {
		t.Errorf("error is %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The writer of resumption tests: some tensors of one float16 row each.
const (
	rows  = 8
	width = 300
)

func plain(n int) []bundle.Tensor {
	var list []bundle.Tensor
	for i := range n {
		list = append(list, bundle.Tensor{Name: fmt.Sprint("t", i), Role: "final_norm", Layer: -1, Shape: []int{width}, Type: bundle.F16})
	}
	return list
}

// begin starts or goes on with a bundle in two files, and writes tensors up to the given one.
func begin(t *testing.T, dir string, upTo int, stale outdir.Stale) *bundle.Writer {
	t.Helper()
	w, err := bundle.Create(context.Background(), dir, plain(rows), bundle.Options{MaxFile: 256 + 4*768, Stale: stale, Origin: []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	for i := w.Whole(); i < upTo; i++ {
		data := bytes.Repeat([]byte{byte(i + 1)}, 2*width)
		if err := w.Begin(plain(rows)[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.End(bundle.Outcome{Error: float64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// TestResume cuts and damages unfinished work and looks at how much of it counts.
func TestResume(t *testing.T) {
	const a, b = "content/model-00001-of-00002.wgpu", "content/model-00002-of-00002.wgpu"
	for name, c := range map[string]struct {
		damage func(work string) error
		whole  int
	}{
		"nothing":             {func(string) error { return nil }, 6},
		"journal cut":         {func(work string) error { return cutFile(work, "journal", 10) }, 5},
		"journal with a tail": {func(work string) error { return appendFile(work, "journal", "0badc0de {\"tensor\"") }, 6},
		"file cut":            {func(work string) error { return cutFile(work, b, 1) }, 5},
		"second file gone":    {func(work string) error { return os.Remove(filepath.Join(work, b)) }, 4},
		"zeros at the end":    {func(work string) error { return zeroFile(work, b, 256+768) }, 5},
		"zeros at the front":  {func(work string) error { return zeroFile(work, a, 300) }, 0},
		"padding":             {func(work string) error { return onesFile(work, a, 256+2*width+10) }, 0},
		"tail on the file":    {func(work string) error { return appendFile(work, b, "what was being written") }, 6},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		w := begin(t, dir, 6, outdir.Refuse)
		if err := w.Keep(); err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Create(context.Background(), dir, plain(rows), bundle.Options{}); !errors.Is(err, outdir.ErrUnfinished) {
			t.Errorf("%s: neither resumed nor discarded: %v", name, err)
		}
		if err := c.damage(w.Work()); err != nil {
			t.Fatal(err)
		}
		again := begin(t, dir, rows, outdir.Resume)
		if got := again.Whole(); got != c.whole {
			t.Errorf("%s: %d tensors are whole, want %d", name, got, c.whole)
		}
		for i, e := range again.Tensors() {
			if e.Error != float64(i) || e.SHA256 != sha(bytes.Repeat([]byte{byte(i + 1)}, 2*width)) {
				t.Errorf("%s: tensor %d is %+v", name, i, e)
			}
		}
		checkPlain(t, name, again)
		if err := again.Abort(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

// checkPlain reads the files of unfinished work that has all tensors.
func checkPlain(t *testing.T, name string, w *bundle.Writer) {
	t.Helper()
	for file := range 2 {
		want := make([]byte, 256)
		for i := 4 * file; i < 4*file+4; i++ {
			want = append(want, bytes.Repeat([]byte{byte(i + 1)}, 2*width)...)
			want = append(want, make([]byte, 768-2*width)...)
		}
		got, err := os.ReadFile(filepath.Join(w.Work(), "content", fmt.Sprintf("model-%05d-of-00002.wgpu", file+1)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: file %d differs: %v", name, file, err)
		}
	}
}

func cutFile(work, name string, n int64) error {
	path := filepath.Join(work, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-n)
}

func appendFile(work, name, text string) error {
	f, err := os.OpenFile(filepath.Join(work, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func zeroFile(work, name string, at int64) error { return patch(work, name, at, make([]byte, 20)) }

func onesFile(work, name string, at int64) error { return patch(work, name, at, []byte{1}) }

func patch(work, name string, at int64, p []byte) error {
	f, err := os.OpenFile(filepath.Join(work, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p, at)
	return errors.Join(err, f.Close())
}

func TestResumeRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	w := begin(t, dir, 3, outdir.Refuse)
	if _, err := bundle.Create(context.Background(), dir, plain(rows), bundle.Options{Stale: outdir.Resume}); !errors.Is(err, outdir.ErrBusy) {
		t.Errorf("while it is written: %v", err)
	}
	if err := errors.Join(w.Note("k", "v"), w.Keep()); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	_, err := bundle.Create(context.Background(), dir, plain(rows), bundle.Options{
		Stale: outdir.Resume, MaxFile: 256 + 4*768,
		Accept: func(origin []byte, notes map[string]string) error {
			if string(origin) != `{"a":1}` || notes["k"] != "v" {
				t.Errorf("origin is %s, notes are %v", origin, notes)
			}
			return no
		},
	})
	if !errors.Is(err, no) {
		t.Errorf("error is %v", err)
	}
	again := begin(t, dir, 4, outdir.Resume)
	if again.Whole() != 3 {
		t.Errorf("what was refused has lost something: %d tensors are whole", again.Whole())
	}
	if err := again.Keep(); err != nil {
		t.Fatal(err)
	}
	if w := begin(t, dir, 0, outdir.Discard); w.Whole() != 0 || w.Abort() != nil {
		t.Errorf("discarded, %d tensors are whole", w.Whole())
	}
}

// FuzzJournal puts anything in place of a journal: no panic, and nothing counts that is not there.
func FuzzJournal(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "out")
	w, err := bundle.Create(context.Background(), dir, plain(2), bundle.Options{Origin: []byte(`{}`)})
	if err != nil {
		f.Fatal(err)
	}
	data := make([]byte, 2*width)
	if err := w.Begin(plain(2)[0]); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(w.End(bundle.Outcome{}), w.Note("a", "b"), w.Keep()); err != nil {
		f.Fatal(err)
	}
	journal := filepath.Join(w.Work(), "journal")
	good, err := os.ReadFile(journal)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(slices.Concat(good, good))
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(journal, text, 0o666); err != nil {
			t.Fatal(err)
		}
		w, err := bundle.Create(context.Background(), dir, plain(2), bundle.Options{Stale: outdir.Resume})
		if err != nil {
			return
		}
		if w.Whole() > 1 {
			t.Errorf("%d tensors are whole", w.Whole())
		}
		if err := w.Keep(); err != nil {
			t.Error(err)
		}
	})
}
