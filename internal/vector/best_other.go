//go:build !amd64 && !arm64

package vector

// Best returns None: there is assembly for amd64 and arm64 alone.
func Best() Level { return None }
