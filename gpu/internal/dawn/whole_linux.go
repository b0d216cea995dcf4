//go:build amd64 || arm64

package dawn

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// machines are the processors of this program's builds, as ELF files name them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkWhole reports why a file of size bytes cannot be loaded. The loader maps it into memory as its head says, and
// what lies beyond the end of the file is a bus error when it is touched.
func checkWhole(r io.ReaderAt, size int64) error {
	f, err := elf.NewFile(r)
	switch want := machines[runtime.GOARCH]; {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is empty or cut off")
	case err != nil:
		return errors.New("it is not a library of this system")
	case f.Machine != want:
		return fmt.Errorf("it is for another processor: %v, not %v", f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && (p.Off > uint64(size) || p.Filesz > uint64(size)-p.Off) {
			return fmt.Errorf("it is cut off: %d bytes, of %d or more", size, p.Off+p.Filesz)
		}
	}
	return nil
}
