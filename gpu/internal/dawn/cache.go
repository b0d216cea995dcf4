//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import (
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Cache keeps what a library compiles for its next start. Its methods are called from several threads at once.
type Cache interface {
	// Load returns the value that was stored under key, nil if there is none. Nobody changes it afterwards.
	Load(key []byte) []byte
	// Store keeps a value, not empty, under key. Both are the caller's again when it returns.
	Store(key, value []byte)
}

const sTypeCache = 0x50007

// cacheFunctions describes a cache until the spring of 2026: its functions are called with the key, its size, the value,
// its size, and the token.
type cacheFunctions struct {
	chained
	isolation   stringView
	load, store uintptr
	token       uintptr
}

// cacheInfos describes a cache since. Its functions are called with sizes before what they are of.
type cacheInfos struct {
	chained
	isolation   stringView
	load, store struct{ next, callback, token, _ uintptr }
}

// Their sizes in C, in bytes.
var (
	_ [56]byte = [unsafe.Sizeof(cacheFunctions{})]byte{}
	_ [96]byte = [unsafe.Sizeof(cacheInfos{})]byte{}
)

// cacheLayout says which of the two structs a library takes.
type cacheLayout byte

const (
	cacheUnknown cacheLayout = iota // neither: nothing is kept
	cacheOfFunctions
	cacheOfInfos
)

// descriptor returns the struct of a layout, to be chained to what describes a device.
func (c cacheLayout) descriptor(next unsafe.Pointer, token uintptr) unsafe.Pointer {
	head := chained{next, sTypeCache}
	switch c {
	case cacheOfFunctions:
		return unsafe.Pointer(&cacheFunctions{head, view(isolation), loadCallback(), storeCallback(), token})
	case cacheOfInfos:
		d := &cacheInfos{chained: head, isolation: view(isolation)}
		d.load.callback, d.load.token = loadCallback(), token
		d.store.callback, d.store.token = storeCallback(), token
		return unsafe.Pointer(d)
	}
	return next
}

// isolation becomes a part of every key, beside the kernel, the library's switches and what the driver says of itself.
const isolation = "llama-webgpu"

// cacheUse is what the library asks of a cache.
type cacheUse struct {
	cache Cache

	mu           sync.Mutex // guards what follows
	found        map[string][]byte
	hits, misses int
}

// load answers the library, which asks twice: for the size, with no room for a value, and then for the value. 0 is a
// value that is not there.
func (u *cacheUse) load(key, room []byte) int {
	if room == nil {
		value := u.cache.Load(key)
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(value) == 0 {
			u.misses++
			return 0
		}
		u.hits++
		u.found[string(key)] = value
		return len(value)
	}
	u.mu.Lock()
	value := u.found[string(key)]
	delete(u.found, string(key))
	u.mu.Unlock()
	if value == nil { // another thread has asked for the same one in between
		value = u.cache.Load(key)
	}
	if len(value) != len(room) {
		return 0
	}
	return copy(room, value)
}

// CacheCounts reports how many values the library has found in the cache, and how many it has not.
func (d *Device) CacheCounts() (hits, misses int) {
	if d.cache == nil {
		return 0, 0
	}
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	return d.cache.hits, d.cache.misses
}

// caches are those that a library may still ask, by the token that it was handed.
var caches struct {
	sync.Mutex
	last uintptr
	by   map[uintptr]*cacheUse
}

func keep(c Cache) (use *cacheUse, token uintptr) {
	caches.Lock()
	defer caches.Unlock()
	if caches.by == nil {
		caches.by = map[uintptr]*cacheUse{}
	}
	caches.last++
	use = &cacheUse{cache: c, found: map[string][]byte{}}
	caches.by[caches.last] = use
	return use, caches.last
}

func stopKeeping(token uintptr) {
	caches.Lock()
	defer caches.Unlock()
	delete(caches.by, token)
}

func cacheOf(token uintptr) *cacheUse {
	caches.Lock()
	defer caches.Unlock()
	return caches.by[token]
}

// span is memory of the library, whose address and size come in either order: no address is as small as a size.
func span(a, b uintptr) []byte {
	if max(a, b) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at(max(a, b))), min(a, b))
}

// The functions that the library calls, on whatever thread.
func onLoad(key, keySize, value, valueSize, token uintptr) uintptr {
	u := cacheOf(token)
	if u == nil {
		return 0
	}
	return uintptr(u.load(span(key, keySize), span(value, valueSize)))
}

func onStore(key, keySize, value, valueSize, token uintptr) uintptr {
	if u := cacheOf(token); u != nil {
		u.cache.Store(span(key, keySize), span(value, valueSize))
	}
	return 0
}

var (
	loadCallback  = sync.OnceValue(func() uintptr { return purego.NewCallback(onLoad) })
	storeCallback = sync.OnceValue(func() uintptr { return purego.NewCallback(onStore) })
	probeCallback = sync.OnceValue(func() uintptr { return purego.NewCallback(onProbe) })
)

// probes are what layouts were seen to be, by token.
var probes struct {
	sync.Mutex
	by map[uintptr]cacheLayout
}

// onProbe is called to load or to store: what is loaded has no room yet, what is stored is somewhere.
func onProbe(key, keySize, value, valueSize, token uintptr) uintptr {
	layout := cacheOfFunctions
	if value == 0 && valueSize == 0 {
		layout = cacheOfInfos
	}
	probes.Lock()
	defer probes.Unlock()
	if len(span(key, keySize)) > 0 && probes.by[token] == cacheUnknown {
		probes.by[token] = layout
	}
	return 0
}

// layoutKey is where a cache remembers the layout that its library takes.
var layoutKey = []byte("layout of DawnCacheDeviceDescriptor")

// cacheLayout returns the layout that the library takes, which c remembers or a trial finds out.
func (a *Adapter) cacheLayout(c Cache) cacheLayout {
	if v := c.Load(layoutKey); len(v) == 1 && (cacheLayout(v[0]) == cacheOfFunctions || cacheLayout(v[0]) == cacheOfInfos) {
		return cacheLayout(v[0])
	}
	layout := a.tryCacheLayout()
	if layout != cacheUnknown {
		c.Store(layoutKey, []byte{byte(layout)})
	}
	return layout
}

// tryDevice opens a device of another adapter like this one, because newer libraries open one device of an adapter, and
// compiles a kernel on it.
func (a *Adapter) tryDevice(next unsafe.Pointer) {
	asked := a.asked
	twin, err := a.in.adapter(&asked)
	if twin == nil || err != nil {
		return
	}
	defer twin.Release()
	d, err := twin.open(next)
	if err != nil {
		return
	}
	defer d.Close()
	if p, layout, err := d.NewPipeline("cache", "@compute @workgroup_size(1) fn main() {}", "main", nil); err == nil {
		d.FreePipeline(p)
		d.FreeLayout(layout)
	}
}

// tryCacheLayout opens a device with a cacheInfos that has nothing but the callback for loading. Its place is that of
// the function for storing in a cacheFunctions, which then has none for loading: either way the library calls it when
// it compiles, and how it is called tells which.
func (a *Adapter) tryCacheLayout() cacheLayout {
	_, token := keep(nil) // for a number of its own
	defer stopKeeping(token)
	probes.Lock()
	if probes.by == nil {
		probes.by = map[uintptr]cacheLayout{}
	}
	probes.by[token] = cacheUnknown
	probes.Unlock()

	probe := &cacheInfos{chained: chained{unsafe.Pointer(newToggles(enabledToggles, disabledToggles)), sTypeCache}, isolation: view(isolation)}
	probe.load.callback, probe.load.token = probeCallback(), token
	a.tryDevice(unsafe.Pointer(probe))
	probes.Lock()
	defer probes.Unlock()
	found := probes.by[token]
	delete(probes.by, token)
	return found
}
