// Package bench measures how fast a bundle, or a model of a given shape with made-up weights, loads and runs on a GPU or the
// CPU engine, and on a GPU behind the server. Run and RunCPU are the ways in. It prints nothing; what it measures is a Report.
// What bounds a device, and where the time of one pass goes, is package tune's part.
package bench
