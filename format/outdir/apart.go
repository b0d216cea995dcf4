//go:build !js

package outdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Apart reports an output directory that is the input directory, or inside it, or contains it.
func Apart(out, in string) error {
	target, err := resolve(out)
	if err != nil {
		return err
	}
	dir, err := resolve(in)
	if err != nil {
		return err
	}
	if within(target, dir) || within(dir, target) {
		return fmt.Errorf("%s: the output and the input %s must not contain each other", out, in)
	}
	return nil
}

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolve returns the absolute path without symbolic links, of which the last parts need not
// exist.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real, nil
	}
	if !errors.Is(err, os.ErrNotExist) || filepath.Dir(path) == path {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	dir, err := resolve(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}
