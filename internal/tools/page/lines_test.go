package main

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tokens returns a file's tokens without comments.
func tokens(text []byte) (list []string) {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(text)), text, nil, 0)
	for {
		_, kind, literal := s.Scan()
		if list = append(list, kind.String()+" "+literal); kind == token.EOF {
			return list
		}
	}
}

// TestOnOneLine keeps the code of awkward lines and of a part of the standard library, whose statements are all on line 1.
func TestOnOneLine(t *testing.T) {
	awkward := "//go:build js\n\npackage a // of\n\nimport _ \"embed\"\n\n/* a\nb */ var x = `\n//line g:7\n  c` +\n\t`d`\r\n\n//go:noinline\nfunc f() { // e\n\n\tprintln(x)\n}"
	texts := map[string][]byte{"awkward": []byte(awkward)}
	root, err := goRelease{"go", os.Environ()}.output("env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src", "strconv", "*.go"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files of the standard library: %v", len(files), err)
	}
	for _, name := range files {
		if texts[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range texts {
		flat := onOneLine(text)
		if !slices.Equal(tokens(text), tokens(flat)) {
			t.Errorf("%s has other tokens: %s", name, flat)
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, flat, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(ast.Stmt); ok && set.Position(s.Pos()).Line != 1 && name != "awkward" {
				t.Errorf("%s: a statement on line %d", name, set.Position(s.Pos()).Line)
			}
			return true
		})
	}
}
