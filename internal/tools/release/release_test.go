package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	date   = time.Date(2026, 5, 6, 7, 8, 10, 0, time.UTC)
	sample = []file{{"program", []byte("run"), true}, {"LICENSE", []byte("may"), false}}
)

func TestTarball(t *testing.T) {
	data, err := tarball("dir", sample, date)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked.Name != "" || !unpacked.ModTime.IsZero() {
		t.Errorf("the header says who made it when: %+v", unpacked.Header)
	}
	r := tar.NewReader(unpacked)
	for _, f := range sample {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, f.data) || h.Name != "dir/"+f.name || !h.ModTime.Equal(date) || h.FileInfo().Mode() != f.mode() || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%+v %q, %v: want %+v", h, got, err, f)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("%v after the last file", err)
	}
	if again, err := tarball("dir", sample, date.In(time.FixedZone("", 3600))); err != nil || !bytes.Equal(again, data) {
		t.Errorf("the second time it is not the same, %v", err)
	}
}

func TestZipped(t *testing.T) {
	data, err := zipped("dir", sample, date)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.File) != len(sample) {
		t.Fatalf("%d files, want %d", len(r.File), len(sample))
	}
	for i, f := range sample {
		z := r.File[i]
		from, err := z.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(from)
		if err != nil || !bytes.Equal(got, f.data) || z.Name != "dir/"+f.name || !z.Modified.Equal(date) || z.Mode() != f.mode() {
			t.Errorf("%+v %q, %v: want %+v", z.FileHeader, got, err, f)
		}
	}
}

func TestWithVersion(t *testing.T) {
	text, err := os.ReadFile("../../../web/package.json")
	if err != nil {
		t.Fatal(err)
	}
	got, files, err := withVersion(text, "1.2.3")
	if err != nil || !strings.Contains(string(got), `"version": "1.2.3"`) || !strings.Contains(strings.Join(files, " "), "dist") {
		t.Errorf("%v, %v:\n%s", files, err, got)
	}
	if _, _, err := withVersion(got, "1.2.4"); err == nil {
		t.Error("a version that is no placeholder was replaced")
	}
}

func TestCheckTypes(t *testing.T) {
	dir := t.TempDir()
	if err := checkTypes(dir); err == nil || !strings.Contains(err.Error(), "make web") {
		t.Errorf("%v: want that there are no modules", err)
	}
	write(t, dir, "dist/a.js")
	if err := checkTypes(dir); err == nil || !strings.Contains(err.Error(), "web/dist/a.js has no types") {
		t.Errorf("%v: want that a.js has no types", err)
	}
	write(t, dir, "dist/a.d.ts")
	if err := checkTypes(dir); err != nil {
		t.Error(err)
	}
}

func TestLicenses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "license.go")
	var b strings.Builder
	if err := addLicenses(&b, "x v1", dir); err == nil || !strings.Contains(err.Error(), "x v1: there is no license file") {
		t.Errorf("%v: want that there is no license", err)
	}
	write(t, dir, "Licence.md")
	if err := addLicenses(&b, "x v1", dir); err != nil || !strings.Contains(b.String(), "x v1: Licence.md\n\ntext of dist\n") {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

func TestSums(t *testing.T) {
	m := maker{out: t.TempDir()}
	if err := m.sums(); err == nil {
		t.Error("sums of nothing")
	}
	write(t, m.out, "b")
	write(t, m.out, "a")
	for range 2 { // the second time there is a file of sums
		if err := m.sums(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(m.out, sumsFile))
	lines := strings.Split(strings.TrimSpace(string(got)), "\n")
	if err != nil || len(lines) != 2 || !strings.HasSuffix(lines[0], "  a") || !strings.HasSuffix(lines[1], "  b") || len(lines[0]) != 64+3 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCheckTag(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := checkTag("v99.0.0"); err == nil || !strings.Contains(err.Error(), "the tag is v99.0.0") {
		t.Errorf("%v: want that it is another version", err)
	}
}

// write writes a file with a text of its directory.
func write(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("text of dist\n"), 0o666); err != nil {
		t.Fatal(err)
	}
}
