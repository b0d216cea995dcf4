// Package outdir makes an output directory appear whole or not at all: it is written beside its
// target, synced, and renamed. It says whether an earlier run left something, whether another
// process is at it, and how much room the disk has. It knows nothing of what is in the directory.
package outdir
