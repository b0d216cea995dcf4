//go:build (linux || darwin) && (amd64 || arm64)

package dawn

import (
	"bytes"
	"testing"
	"unsafe"
)

// mapCache is a cache in memory.
type mapCache map[string][]byte

func (m mapCache) Load(key []byte) []byte  { return m[string(key)] }
func (m mapCache) Store(key, value []byte) { m[string(key)] = bytes.Clone(value) }

// library calls the callbacks of a cache as a library with one of the two layouts does.
type library struct {
	layout cacheLayout
	store  func(key, keySize, value, valueSize, token uintptr) uintptr
	load   func(key, keySize, value, valueSize, token uintptr) uintptr
	token  uintptr
}

// words are the arguments of a callback: infos have sizes before what they are of.
func (l library) words(key, value []byte) (a, b, c, d, token uintptr) {
	k, n := address(unsafe.SliceData(key)), uintptr(len(key))
	v, m := uintptr(0), uintptr(len(value))
	if m > 0 {
		v = address(unsafe.SliceData(value))
	}
	if l.layout == cacheOfInfos {
		return n, k, m, v, l.token
	}
	return k, n, v, m, l.token
}

// get asks as a library does: for the size, and then for the value.
func (l library) get(key []byte) []byte {
	size := l.load(l.words(key, nil))
	if size == 0 {
		return nil
	}
	value := make([]byte, size)
	if l.load(l.words(key, value)) != size {
		return nil
	}
	return value
}

// TestCacheCallbacks stores and loads in the ways of both layouts.
func TestCacheCallbacks(t *testing.T) {
	for _, layout := range []cacheLayout{cacheOfFunctions, cacheOfInfos} {
		kept := mapCache{}
		use, token := keep(kept)
		l := library{layout, onStore, onLoad, token}
		key, value := []byte("a\x00key"), bytes.Repeat([]byte{1, 2, 3}, 1000)
		if got := l.get(key); got != nil {
			t.Errorf("layout %d: before anything is stored: %d bytes", layout, len(got))
		}
		l.store(l.words(key, value))
		for range 2 {
			if got := l.get(key); !bytes.Equal(got, value) {
				t.Errorf("layout %d: %d bytes, want %d", layout, len(got), len(value))
			}
		}
		if got := l.load(l.words(key, make([]byte, len(value)-1))); got != 0 {
			t.Errorf("layout %d: with too little room: %d bytes", layout, got)
		}
		if use.hits != 2 || use.misses != 1 || len(use.found) != 0 {
			t.Errorf("layout %d: %d hits, %d misses, %d values waiting", layout, use.hits, use.misses, len(use.found))
		}
		stopKeeping(token)
		l.store(l.words([]byte("late"), value))
		if got := l.get(key); got != nil || len(kept) != 1 {
			t.Errorf("layout %d: after its device is closed: %d bytes, %d entries", layout, len(got), len(kept))
		}
	}
}

// TestCacheLayout tells the layouts apart by how the callback of the trial is called: by a library of functions to store,
// by one of infos to load.
func TestCacheLayout(t *testing.T) {
	probe := &cacheInfos{}
	functions := (*cacheFunctions)(unsafe.Pointer(probe))
	probe.load.callback, probe.load.token = 7, 8
	if functions.load != 0 || functions.store != 7 || functions.token != 8 {
		t.Errorf("in a library of functions, the trial is %+v", *functions)
	}
	probes.by = map[uintptr]cacheLayout{}
	for token, value := range map[cacheLayout][]byte{cacheOfFunctions: {1, 2}, cacheOfInfos: nil} {
		probes.by[uintptr(token)] = cacheUnknown
		onProbe(library{layout: token, token: uintptr(token)}.words([]byte("key"), value))
		if got := probes.by[uintptr(token)]; got != token {
			t.Errorf("layout %d is taken for %d", token, got)
		}
	}
}
