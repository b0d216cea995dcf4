//go:build !amd64 && !arm64

package vector

// Best returns None: there is assembly for amd64 and arm64 alone.
func Best() Level { return None }

// VNNI reports whether the processor multiplies bytes in the way that assembly for amd64 wants.
func VNNI() bool { return false }
