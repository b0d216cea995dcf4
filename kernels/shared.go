package kernels

import (
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed *.wgsl shared/*.wgsl
var files embed.FS

// How a kernel asks for a shared piece, and what the line becomes once the piece is appended.
const withMark, doneMark = "// with shared/", "// with (below) shared/"

// assemble appends to a kernel's text the shared pieces that its opening comment asks for, each by a
// line `// with shared/store.wgsl: store, put`. The names after the colon, those that the piece
// declares, are for readers; a test checks them. The kernel's own lines keep their numbers.
func assemble(source string) (string, error) {
	var text, pieces strings.Builder
	opening := true
	for line := range strings.Lines(source) {
		opening = opening && strings.HasPrefix(line, "//")
		rest, ok := strings.CutPrefix(line, withMark)
		if !opening || !ok {
			text.WriteString(line)
			continue
		}
		file, _, named := strings.Cut(rest, ":")
		piece, err := files.ReadFile("shared/" + file)
		if !named || err != nil {
			return "", fmt.Errorf("%q: want `%sFILE: NAME, …` with FILE in kernels/shared", strings.TrimSpace(line), withMark)
		}
		text.WriteString(doneMark + rest)
		pieces.WriteByte('\n')
		pieces.Write(piece)
	}
	return text.String() + pieces.String(), nil
}

// texts caches the assembled texts of kernels by name: a model asks for the same ones many times.
var texts sync.Map

// Substitute puts a text, which names no shared pieces, in the place of a kernel's until restore is called. It is for
// tests on devices that do not have what the kernel needs.
func Substitute(name, text string) (restore func()) {
	texts.Store(name, text)
	return func() { texts.Delete(name) }
}

// Text returns the text of a kernel's file and its pieces, before a specialization.
func Text(name string) (string, error) {
	if text, ok := texts.Load(name); ok {
		return text.(string), nil
	}
	source, err := files.ReadFile(name + ".wgsl")
	if err != nil {
		return "", fmt.Errorf("kernel %q: no such kernel", name)
	}
	text, err := assemble(string(source))
	if err != nil {
		return "", fmt.Errorf("kernel %s: %w", name, err)
	}
	texts.Store(name, text)
	return text, nil
}
