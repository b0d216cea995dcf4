//go:build !unix && !js

package bundle

// syncDir does nothing: these systems do not sync directories.
func syncDir(string) error { return nil }
