package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"path/filepath"
)

// standardLibrary writes the standard library's files to dir with all code on line 1, and returns which replaces which: a program
// holds tables from its instructions to lines, and those of the standard library are a sixtieth of the download. Stack traces still
// name its functions, and the lines of our own code.
func standardLibrary(g goRelease, dir string) (replace map[string]string, err error) {
	replace = map[string]string{}
	list, err := g.output("list", "-deps", "-json=Dir,GoFiles,Standard", "./cmd/wasm")
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var p struct {
			Dir      string
			GoFiles  []string
			Standard bool
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return replace, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s list: %w", g.tool, err)
		}
		if !p.Standard {
			continue
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			to := filepath.Join(dir, fmt.Sprintf("standard%d.go", len(replace)))
			if err := os.WriteFile(to, onOneLine(text), 0o666); err != nil {
				return nil, err
			}
			replace[filepath.Join(p.Dir, name)] = to
		}
	}
}

// onOneLine gives each line of a Go file's code the number 1, but for those that begin within a string or a comment.
func onOneLine(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) // as the scanner does
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, text, nil, scanner.ScanComments)
	begins, within := 0, map[int]bool{}
	for {
		pos, kind, literal := s.Scan()
		at := file.Offset(pos)
		switch kind {
		case token.EOF:
			return directed(text, begins, within)
		case token.PACKAGE:
			begins = at
		case token.STRING, token.COMMENT:
			for i, c := range []byte(literal) {
				within[at+i+1] = within[at+i+1] || c == '\n'
			}
		}
	}
}

// directed puts a line directive before each line from offset begins on, but for those that begin within a token.
func directed(text []byte, begins int, within map[int]bool) []byte {
	out := bytes.Clone(text[:begins])
	for at := begins; at < len(text); {
		line, _, _ := bytes.Cut(text[at:], []byte("\n"))
		end := min(at+len(line)+1, len(text))
		if !within[at] && len(bytes.TrimSpace(line)) > 0 {
			out = append(out, "//line f:1\n"...)
		}
		out = append(out, text[at:end]...)
		at = end
	}
	return out
}
