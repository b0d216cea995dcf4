//go:build !unix

package main

import "time"

var begun = time.Now()

// processorTime is the time that has passed: what the process has used is not known.
func processorTime() time.Duration { return time.Since(begun) }
