//go:build (linux || darwin) && (amd64 || arm64)

package dawn

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestLoadRefuses loads what is no library, and a library that is not Dawn.
func TestLoadRefuses(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "libwebgpu_dawn.so")
	if err := os.WriteFile(junk, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	system := map[string]string{"linux": "libc.so.6", "darwin": "/usr/lib/libSystem.B.dylib"}[runtime.GOOS]
	for path, want := range map[string]string{
		junk:                        "libwebgpu_dawn.so",
		filepath.Join(junk, "none"): "none",
		system:                      "it lacks wgpuCreateInstance, wgpuInstanceRequestAdapter",
	} {
		l, err := Load(path)
		if l != nil || !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrLibrary with %q", path, err, want)
		}
	}
}

// TestFilled tells structs of the declared size from shorter and longer ones.
func TestFilled(t *testing.T) {
	for words, ok := range map[int]bool{10: false, 11: false, 12: true, 13: false, 20: false} {
		var info adapterInfo
		err := filled(&info, "WGPUAdapterInfo", func(p uintptr) {
			all := unsafe.Slice((*uint64)(at(p)), 64)
			for i := range words {
				all[i] = uint64(i)
			}
		})
		if (err == nil) != ok {
			t.Errorf("%d words: %v", words, err)
		}
		if ok && (info.backend != 9 || info.vendor.length != 2) {
			t.Errorf("read %+v", info)
		}
	}
}

// TestText reads texts of a given length and those that end with a zero.
func TestText(t *testing.T) {
	b := []byte("Dawn\x00more")
	p := address(&b[0])
	if got := text(p, 2); got != "Da" {
		t.Errorf("2 bytes: %q", got)
	}
	if got := text(p, ^uint64(0)); got != "Dawn" {
		t.Errorf("up to the zero: %q", got)
	}
	if got := text(0, 3); got != "" {
		t.Errorf("no text: %q", got)
	}
}
