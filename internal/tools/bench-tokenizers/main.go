// Command bench-tokenizers compares the tokenizer with what testdata/real.py of format/tokenizer has written down of the
// tokenizers library: ids and texts, which must be equal, and speed on one thread. It prints a table, and ends with 1
// if an id or a text differs. `make tokenizers` runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	dir := flag.String("dir", "build/tokenizers/records", "what real.py has written")
	only := flag.String("only", "", "look at this tokenizer alone")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	wrong, err := run(*dir, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-tokenizers:", err)
		os.Exit(2)
	}
	if wrong > 0 {
		fmt.Fprintf(os.Stderr, "bench-tokenizers: %d differences\n", wrong)
		os.Exit(1)
	}
}

// run returns how many ids or texts differ.
func run(dir, only string) (wrong int, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return 0, err
	}
	texts, err := readTexts(dir)
	if err != nil {
		return 0, err
	}
	fmt.Println("| MB/s, ours / the library's | prose | mixed | short texts | decoding | loading | differences |")
	fmt.Println("|---|---|---|---|---|---|---|")
	seen := 0
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if name == "parts" || only != "" && name != only {
			continue
		}
		seen++
		row, differs, err := measure(path, texts)
		if err != nil {
			return wrong, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("| %s | %s |\n", name, row)
		for _, d := range differs {
			fmt.Fprintf(os.Stderr, "bench-tokenizers: %s: %s\n", name, d)
		}
		wrong += len(differs)
	}
	if seen == 0 {
		return 0, errors.New("no tokenizers there: make tokenizers gets them")
	}
	return wrong, nil
}
