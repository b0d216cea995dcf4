//go:build !unix && !js

package outdir

// SyncDir does nothing: these systems do not sync directories.
func SyncDir(string) error { return nil }
