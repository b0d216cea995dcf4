package kernels

import (
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed *.wgsl shared/*.wgsl
var files embed.FS

// What a kernel asks for a shared piece by, and what stands there once it has it.
const withMark, doneMark = "// with shared/", "// with (below) shared/"

// assemble returns a kernel's text with the shared pieces behind it that its opening comment asks for, each by a
// line `// with shared/store.wgsl: store, put`. What stands behind the colon, the names that the piece
// declares, is for readers; a test holds it to the truth. Lines keep their numbers.
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
			return "", fmt.Errorf("%q: want `%sFILE: NAME, …` with a file of kernels/shared", strings.TrimSpace(line), withMark)
		}
		text.WriteString(doneMark + rest)
		pieces.WriteByte('\n')
		pieces.Write(piece)
	}
	return text.String() + pieces.String(), nil
}

// texts are the assembled texts of kernels, by name: a model asks for the same ones many times.
var texts sync.Map

// read returns the assembled text of a kernel's file.
func read(name string) (string, error) {
	if text, ok := texts.Load(name); ok {
		return text.(string), nil
	}
	source, err := files.ReadFile(name + ".wgsl")
	if err != nil {
		return "", fmt.Errorf("kernel %q: there is no such kernel", name)
	}
	text, err := assemble(string(source))
	if err != nil {
		return "", fmt.Errorf("kernel %s: %w", name, err)
	}
	texts.Store(name, text)
	return text, nil
}
