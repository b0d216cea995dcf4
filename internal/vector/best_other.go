//go:build !amd64

package vector

// Best returns None: there is assembly for amd64 alone.
func Best() Level { return None }
