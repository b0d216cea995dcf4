package bundle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// blobName returns the name of file i of n.
func blobName(i, n int) string {
	if n == 1 {
		return BlobName
	}
	return fmt.Sprintf("model-%05d-of-%05d.wgpu", i+1, n)
}

// isBlobName reports whether blobName gives this name for some file.
func isBlobName(name string) bool {
	if name == BlobName {
		return true
	}
	numbers, ok := strings.CutPrefix(name, "model-")
	numbers, ok2 := strings.CutSuffix(numbers, ".wgpu")
	first, last, ok3 := strings.Cut(numbers, "-of-")
	i, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(last)
	return ok && ok2 && ok3 && err1 == nil && err2 == nil && i >= 1 && i <= n && name == blobName(i-1, n)
}

// Layout places the tensors one after the other: it sets File, Offset and Length of each, and returns
// the files. None of these is larger than most bytes, unless most is 0.
func Layout(tensors []Tensor, most int64) ([]File, error) {
	var files []File
	for i := range tensors {
		t := &tensors[i]
		length, err := t.place()
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if most > 0 && aligned(length) > most-headerSize {
			return nil, fmt.Errorf("tensor %q: takes %d bytes by itself, and its file %d: files of at most %d bytes are too small for it",
				t.Name, length, headerSize+aligned(length), most)
		}
		last := len(files) - 1
		if last < 0 || most > 0 && files[last].Size+aligned(length) > most {
			files, last = append(files, File{Size: headerSize}), last+1
		}
		f := &files[last]
		t.File, t.Offset, t.Length = last, f.Size, length
		f.Size += aligned(length)
	}
	for i := range files {
		files[i].Name = blobName(i, len(files))
	}
	return files, nil
}

// place returns the bytes that a tensor takes which nobody has checked yet.
func (t *Tensor) place() (int64, error) {
	if len(t.Shape) == 0 || slices.Min(t.Shape) < 1 {
		return 0, fmt.Errorf("shape %v has no elements", t.Shape)
	}
	if err := t.checkType(t.Model().Quantizable()); err != nil {
		return 0, err
	}
	length, ok := t.bytes()
	if !ok {
		return 0, fmt.Errorf("shape %v is too large", t.Shape)
	}
	return length, nil
}
