//go:build (linux || darwin) && (amd64 || arm64)

package dawn

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
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
	dir := t.TempDir()
	junk := filepath.Join(dir, "libwebgpu_dawn.so")
	if err := os.WriteFile(junk, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	system := map[string]string{"linux": "libc.so.6", "darwin": "/usr/lib/libSystem.B.dylib"}[runtime.GOOS]
	for path, want := range map[string]string{
		junk:                        "libwebgpu_dawn.so: ",
		dir:                         "it is a directory",
		os.DevNull:                  "it is not a regular file",
		filepath.Join(junk, "none"): "none",
		system:                      "it lacks wgpuCreateInstance, wgpuInstanceRequestAdapter",
	} {
		l, err := Load(path)
		if l != nil || !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrLibrary with %q", path, err, want)
		}
	}
}

// TestCutOff refuses what the system's loader would end the process at: a library that ends too early, wherever it does.
func TestCutOff(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other loaders check files themselves")
	}
	program, err := os.Executable() // an ELF file as good as any
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error { return checkWhole(bytes.NewReader(b), int64(len(b))) }
	if err := check(whole); err != nil {
		t.Errorf("the whole file: %v", err)
	}
	for _, n := range []int{0, 3, 16, 63, 64, 500, 5000, len(whole) / 2, len(whole) - 1} {
		if err := check(whole[:n]); err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	const sections, machine, class = 40, 18, 4 // offsets in the head
	binary.LittleEndian.PutUint64(whole[sections:], 0)
	copy(whole[sections+18:], make([]byte, 6)) // a library without sections is loaded all the same
	if err := check(whole); err != nil {
		t.Errorf("no sections: %v", err)
	}
	if err := check(whole[:5000]); err == nil || !strings.Contains(err.Error(), "5000 bytes, of") {
		t.Errorf("5000 bytes and no sections: %v", err)
	}
	binary.LittleEndian.PutUint16(whole[machine:], uint16(elf.EM_386))
	if err := check(whole); err == nil || !strings.Contains(err.Error(), "EM_386") {
		t.Errorf("another processor: %v", err)
	}
	whole[class] = 7
	if err := check(whole); err == nil || !strings.Contains(err.Error(), "not a library of this system") {
		t.Errorf("no class: %v", err)
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
