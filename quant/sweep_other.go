//go:build !amd64

package quant

func sweep(y, a, x []float32, step int) { sweepGo(y, a, x, step) }

func dot64(a, b []float64) float64 { return dot64Go(a, b) }

func inner(x, y []float32) float64 { return innerGo(x, y) }
