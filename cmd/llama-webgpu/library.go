package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/web"
)

// library is the bundle in a directory, or those in its subdirectories. It looks at the directory each time that it is
// asked, so that bundles made since are there, and opens only those that are new or have changed.
type library struct {
	dir  string
	warn func(error) // told once of each bundle that cannot be opened

	mu    sync.Mutex
	known map[string]served // by directory
}

// served is what is known of a bundle.
type served struct {
	web.Model
	ID      string // of the bundle
	Created time.Time
	err     error // why it cannot be opened
	size    int64 // of its manifest
}

// openLibrary finds the bundles in dir. Of several, those that cannot be opened are left out; that there is none is an error.
func openLibrary(dir string, warn func(error)) (*library, error) {
	var damaged []error
	l := &library{dir: dir, warn: func(err error) { damaged = append(damaged, err) }, known: map[string]served{}}
	if len(l.list()) == 0 {
		return nil, l.nothing(damaged)
	}
	l.warn = warn
	for _, err := range damaged {
		warn(err)
	}
	return l, nil
}

// nothing says why there is no bundle.
func (l *library) nothing(damaged []error) error {
	if len(damaged) > 0 {
		return errors.Join(damaged...)
	}
	if _, err := os.ReadDir(l.dir); err != nil || hf.Recognize(l.dir).Kind != hf.OtherKind {
		return source.WrongKind(l.dir)
	}
	return fmt.Errorf("%s: no bundle: neither it nor a subdirectory has a %s", l.dir, bundle.ManifestName)
}

// list returns the bundles that there are now, in the order of their directories.
func (l *library) list() (found []served) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dirs := l.dirs()
	gone := l.known
	l.known = map[string]served{}
	for _, dir := range dirs { // names stay with those that have one
		if b, ok := gone[dir]; ok {
			l.known[dir] = b
		}
	}
	for _, dir := range dirs {
		if b := l.look(dir); b.err == nil {
			found = append(found, b)
		}
	}
	return found
}

// dirs are the directories that have a manifest.
func (l *library) dirs() []string {
	if source.Exists(l.dir, bundle.ManifestName) {
		return []string{l.dir}
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil // there is nothing to be served while it is away
	}
	var dirs []string
	for _, e := range entries {
		if sub := filepath.Join(l.dir, e.Name()); source.Exists(sub, bundle.ManifestName) {
			dirs = append(dirs, sub)
		}
	}
	return dirs
}

// look opens a bundle, unless it is as it was.
func (l *library) look(dir string) served {
	old, seen := l.known[dir]
	info, err := os.Stat(filepath.Join(dir, bundle.ManifestName))
	if err == nil && seen && info.Size() == old.size && info.ModTime().Equal(old.Created) {
		return old
	}
	b := served{err: err}
	if err == nil {
		b = describeBundle(dir)
		b.size, b.Created = info.Size(), info.ModTime()
	}
	if b.err != nil {
		l.warn(b.err)
	}
	if b.Name = old.Name; b.Name == "" {
		b.Name = l.freeName(dir)
	}
	l.known[dir] = b
	return b
}

// freeName makes a name for the bundle in dir that no other has. Names that differ only in characters that a path cannot
// have are numbered.
func (l *library) freeName(dir string) string {
	taken := map[string]bool{}
	for _, b := range l.known {
		taken[b.Name] = true
	}
	base := pathName(title(dir))
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// models are the bundles as the page lists them.
func (l *library) models() []web.Model {
	list := l.list()
	models := make([]web.Model, len(list))
	for i, b := range list {
		models[i] = b.Model
	}
	return models
}

// title is the last element of a directory's name.
func title(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

// describeBundle lists what a page may request of a bundle.
func describeBundle(dir string) served {
	b, err := bundle.Open(dir)
	if err != nil {
		return served{err: err}
	}
	defer b.Close()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return served{err: err}
	}
	m := web.Model{
		Title: title(dir), Format: b.Manifest.Quantization.Format, Bytes: b.Manifest.Size(), Dir: abs,
		Files: []string{bundle.ManifestName},
	}
	for _, f := range b.Manifest.Files {
		m.Files = append(m.Files, f.Name)
	}
	if b.Manifest.Tokenizer.Size > 0 {
		m.Files = append(m.Files, bundle.VocabName)
	}
	return served{Model: m, ID: b.Manifest.ID}
}

// pathName makes a name that is a single element of a URL's path.
func pathName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, name)
}
