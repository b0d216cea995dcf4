package pipelinecache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultSize is a good bound for a directory, in bytes: what some thousand kernels compile to.
const DefaultSize = 256 << 20

// Cache is a directory of entries, for one compiler. Its methods may be called from several goroutines.
type Cache struct {
	dir      string
	compiler string
	most     int64           // bytes in the directory
	failed   func(err error) // told, once, why a value could not be stored

	mu   sync.Mutex // guards what follows
	size int64      // of the directory, as far as this process knows
}

// Open returns the cache in dir, which it makes if need be. compiler names what the entries are good for: of another one
// they are not found. The directory is kept below most bytes. failed is told the first reason why a value could not be stored.
func Open(dir, compiler string, most int64, failed func(err error)) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var once sync.Once
	c := &Cache{dir: dir, compiler: compiler, most: most, failed: func(err error) { once.Do(func() { failed(err) }) }}
	c.prune()
	return c, nil
}

// An entry is a file: magic, the SHA-256 of its name and value, and the value. Its name says compiler and key.
const (
	magic    = "lwpipe1\n"
	headSize = len(magic) + sha256.Size // bytes
	suffix   = ".pipeline"
	unready  = ".tmp" // ends the names of entries that are being written
)

func (c *Cache) name(key []byte) string {
	h := sha256.New()
	h.Write([]byte(c.compiler + "\x00"))
	h.Write(key)
	return hex.EncodeToString(h.Sum(nil)) + suffix
}

// sum guards an entry against damage, and against being renamed.
func sum(name string, value []byte) []byte {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write(value)
	return h.Sum(nil)
}

// Load returns the value stored under key, nil if there is none. An entry that is damaged is removed.
func (c *Cache) Load(key []byte) []byte {
	name := c.name(key)
	path := filepath.Join(c.dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	var data []byte
	if info.Mode().IsRegular() && info.Size() <= int64(headSize)+c.largest() { // else it is none of ours, whatever reading it would do
		if data, err = os.ReadFile(path); err != nil {
			return nil
		}
	}
	if len(data) <= headSize || string(data[:len(magic)]) != magic || !bytes.Equal(data[len(magic):headSize], sum(name, data[headSize:])) {
		_ = os.Remove(path) // it is compiled and stored again
		return nil
	}
	if time.Since(info.ModTime()) > 24*time.Hour { // in use, which is noted once a day
		_ = os.Chtimes(path, time.Time{}, time.Now()) // else it goes earlier than it should
	}
	return data[headSize:]
}

// largest is how many bytes a value may have.
func (c *Cache) largest() int64 { return c.most / 4 }

// Store keeps a value under key. Empty values, and those that would fill a good part of the directory, are not kept.
func (c *Cache) Store(key, value []byte) {
	if len(value) == 0 || int64(len(value)) > c.largest() {
		return
	}
	if err := c.write(c.name(key), value); err != nil {
		c.failed(err)
		return
	}
	c.mu.Lock()
	c.size += int64(headSize + len(value))
	full := c.size > c.most
	c.mu.Unlock()
	if full {
		c.prune()
	}
}

// write makes an entry appear whole.
func (c *Cache) write(name string, value []byte) error {
	f, err := os.CreateTemp(c.dir, "*"+unready)
	if err != nil {
		return err
	}
	_, err = f.Write(slices.Concat([]byte(magic), sum(name, value), value))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// prune measures the directory and, if it is too large, removes the entries that were not used for longest, until a quarter
// is free. What a process that died left unfinished goes after an hour.
func (c *Cache) prune() {
	entries, total := c.entries()
	if total > c.most {
		slices.SortFunc(entries, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
		for _, e := range entries {
			if total <= c.most/4*3 {
				break
			}
			if os.Remove(filepath.Join(c.dir, e.Name())) == nil {
				total -= e.Size()
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size = total
}

// entries lists the entries of the directory and their sizes together, in bytes. Files of other names are left alone.
func (c *Cache) entries() (entries []fs.FileInfo, total int64) {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, 0
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch {
		case strings.HasSuffix(f.Name(), suffix):
			entries, total = append(entries, info), total+info.Size()
		case strings.HasSuffix(f.Name(), unready) && time.Since(info.ModTime()) > time.Hour:
			_ = os.Remove(filepath.Join(c.dir, f.Name()))
		}
	}
	return entries, total
}
