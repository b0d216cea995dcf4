// Package pipelinecache keeps compiled kernels in files of a directory, so that the next start does not compile them
// again: each entry is written whole or not at all, is checked when it is read, and the oldest go when the directory grows
// too large. Any number of processes may use a directory. It knows nothing of what it keeps, and where it fails, something is
// merely not kept. Its one way in is Open.
package pipelinecache
