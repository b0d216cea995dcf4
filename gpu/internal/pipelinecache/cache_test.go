package pipelinecache

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

func mustOpen(t *testing.T, dir, compiler string, most int64) *Cache {
	t.Helper()
	c, err := Open(dir, compiler, most, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files lists the names in a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// TestKeeps finds what another cache of the same compiler has stored, and nothing of another compiler's.
func TestKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	c := mustOpen(t, dir, "a", DefaultSize)
	values := map[string][]byte{"": {1}, "k": []byte("value"), "\x00k\xff": bytes.Repeat([]byte{0, 7}, 50_000)}
	for k, v := range values {
		c.Store([]byte(k), v)
	}
	c.Store([]byte("k"), []byte("newer"))
	values["k"] = []byte("newer")
	c.Store([]byte("empty"), nil)
	again, other := mustOpen(t, dir, "a", DefaultSize), mustOpen(t, dir, "b", DefaultSize)
	for k, v := range values {
		if got := again.Load([]byte(k)); !bytes.Equal(got, v) {
			t.Errorf("key %q: %d bytes, want %d", k, len(got), len(v))
		}
		if got := other.Load([]byte(k)); got != nil {
			t.Errorf("key %q: another compiler got %q", k, got)
		}
	}
	if got := again.Load([]byte("empty")); got != nil || len(files(t, dir)) != len(values) {
		t.Errorf("%q, files %v", got, files(t, dir))
	}
}

// TestDamaged removes entries that were cut, changed, lengthened, emptied or renamed, and takes a new value in their place.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	c := mustOpen(t, dir, "a", DefaultSize)
	key, value := []byte("key"), []byte("a value of some length")
	path := filepath.Join(dir, c.name(key))
	for what, damage := range map[string]func(b []byte) []byte{
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"head alone": func(b []byte) []byte { return b[:headSize] },
		"empty":      func([]byte) []byte { return nil },
		"longer":     func(b []byte) []byte { return append(b, 0) },
		"value":      func(b []byte) []byte { b[headSize+3] ^= 1; return b },
		"sum":        func(b []byte) []byte { b[len(magic)] ^= 1; return b },
		"magic":      func(b []byte) []byte { b[0] ^= 1; return b },
		"renamed": func([]byte) []byte {
			c.Store([]byte("other"), value)
			b, err := os.ReadFile(filepath.Join(dir, c.name([]byte("other"))))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
	} {
		c.Store(key, value)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := c.Load(key); got != nil {
			t.Errorf("%s: got %q", what, got)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: still there: %v", what, err)
		}
		c.Store(key, value)
		if got := c.Load(key); !bytes.Equal(got, value) {
			t.Errorf("%s: stored again: got %q", what, got)
		}
	}
}

// TestStrange has things in the place of an entry that are not to be read: they are replaced, if they can be.
func TestStrange(t *testing.T) {
	dir := t.TempDir()
	c := mustOpen(t, dir, "a", DefaultSize)
	key, value := []byte("key"), []byte("value")
	path := filepath.Join(dir, c.name(key))
	for what, make := range map[string]func() error{
		"huge": func() error {
			if err := os.WriteFile(path, []byte(magic), 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<40)
		},
		"link":      func() error { return os.Symlink(os.DevNull, path) },
		"directory": func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := make(); err != nil {
			t.Logf("%s: %v", what, err) // not every file system can hold it
			continue
		}
		if got := c.Load(key); got != nil {
			t.Errorf("%s: got %q", what, got)
		}
		c.Store(key, value)
		if got := c.Load(key); !bytes.Equal(got, value) {
			t.Errorf("%s: stored again: got %q", what, got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBounded keeps the directory below its size: what was used last stays, what is not an entry is left alone.
func TestBounded(t *testing.T) {
	dir := t.TempDir()
	strange := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(strange, make([]byte, 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	const most = 20_000
	c := mustOpen(t, dir, "a", most)
	key := func(i int) []byte { return fmt.Append(nil, i) }
	for i := range 100 {
		c.Store(key(i), make([]byte, 1000))
		old := time.Now().Add(time.Duration(i-1000) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, c.name(key(i))), old, old); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if c.Load(key(0)) == nil { // reading it makes it young
			t.Fatalf("after %d entries the one that is always used was gone", i+1)
		}
		if _, total := c.entries(); total > most {
			t.Fatalf("after %d entries: %d bytes", i+1, total)
		}
	}
	for i, want := range map[int]bool{0: true, 1: false, 50: false, 98: true} {
		if got := c.Load(key(i)) != nil; got != want {
			t.Errorf("entry %d: %v, want %v", i, got, want)
		}
	}
	c.Store([]byte("huge"), make([]byte, most/2))
	if c.Load([]byte("huge")) != nil || c.Load(key(0)) == nil {
		t.Error("a value of half the bound was kept, or drove others out")
	}
	smaller := mustOpen(t, dir, "a", 5_000)
	if _, total := smaller.entries(); total > 5_000 || smaller.Load(key(0)) == nil {
		t.Errorf("opened with a smaller bound: %d bytes", total)
	}
	if _, err := os.Stat(strange); err != nil {
		t.Error(err)
	}
}

// TestAtomic has readers beside writers see whole values or none, and nothing unfinished stays.
func TestAtomic(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "1"+unready)
	if err := os.WriteFile(dead, []byte(magic), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(dead, old, old); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			c, err := Open(dir, "a", DefaultSize, func(err error) {
				if runtime.GOOS != "windows" { // which replaces no file that somebody reads
					t.Error(err)
				}
			})
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 50 {
				c.Store([]byte("key"), bytes.Repeat([]byte{byte(w)}, 1+1000*i))
				if v := c.Load([]byte("key")); v != nil && bytes.Count(v, v[:1]) != len(v) {
					t.Error("a value has parts of two")
				}
			}
		})
	}
	wg.Wait()
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

// TestNoDirectory reports a directory that cannot be made, and one that is lost.
func TestNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "dir"), "a", DefaultSize, nil); err == nil {
		t.Error("a directory in a file was made")
	}
	dir := filepath.Join(t.TempDir(), "lost")
	var failures []error
	c, err := Open(dir, "a", DefaultSize, func(err error) { failures = append(failures, err) })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.Store([]byte("key"), []byte("value"))
	}
	if len(failures) != 1 || c.Load([]byte("key")) != nil {
		t.Errorf("a value went into a directory that is not there; told: %v", failures)
	}
}
