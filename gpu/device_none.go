//go:build !cgo && !js

package gpu

import "fmt"

var errBuild = fmt.Errorf("%w of its own (built without cgo)", ErrNoGPU)

const hasBuiltin = false

func findBuiltin() (driver, error) { return nil, errBuild }
