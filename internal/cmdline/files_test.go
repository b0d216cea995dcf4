package cmdline

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestComplete has a file that cannot be written to its end: nothing of it stays.
func TestComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Complete(f, []byte("all of it")); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "all of it" {
		t.Errorf("%q, %v", data, err)
	}
	if f, err = os.Open(path); err != nil { // which nothing can be written to
		t.Fatal(err)
	}
	if err := Complete(f, []byte("more")); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestCompleteLink has a link to a file that cannot be written: it may be /dev/stdout, and stays.
func TestCompleteLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	err := errors.Join(os.WriteFile(filepath.Join(dir, "report"), nil, 0o644), os.Symlink("report", link))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := Complete(f, []byte("more")); err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(link); err != nil {
		t.Error(err)
	}
}

// TestWriteFile has content that cannot be made: the file stays as it was.
func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	for _, failure := range []error{nil, errors.New("no content")} {
		err := WriteFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, "all of it")
			return errors.Join(err, failure)
		})
		if !errors.Is(err, failure) {
			t.Errorf("%v, want %v", err, failure)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != "all of it" {
			t.Errorf("%q, %v", data, err)
		}
	}
}
