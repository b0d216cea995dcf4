//go:build (darwin || windows) && (amd64 || arm64)

package dawn

import "io"

// checkWhole: the loaders of these systems check a file themselves.
func checkWhole(io.ReaderAt, int64) error { return nil }
