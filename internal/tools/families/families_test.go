package main

import (
	"bytes"
	"os"
	"testing"
)

// The tables in the repository are what the command writes.
func TestTablesAreCurrent(t *testing.T) {
	all, err := pages("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range all {
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s: the table of families is not current: run make families-table", path)
		}
	}
}

// A page without the lines, and one with half of them, are errors.
func TestPutErrors(t *testing.T) {
	for _, text := range []string{"", "<!-- families -->\n", "<!-- /families -->\n<!-- families -->\n"} {
		if _, err := put([]byte(text), "x\n"); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
