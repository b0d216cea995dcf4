// Package outdir makes an output directory appear complete or not at all: it is written beside its
// target, synced, and renamed. It says whether an earlier run left something, whether another
// process is writing, and how much room the disk has. It does not look at what is in the directory.
package outdir
