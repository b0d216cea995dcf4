//go:build !cgo && !js

package gpu

import (
	"context"
	"fmt"
)

var errBuild = fmt.Errorf("%w (built without cgo)", ErrNoGPU)

// Adapters lists the adapters there are, best first.
func Adapters() ([]AdapterInfo, error) { return nil, errBuild }

func openBackend(context.Context, Options) (backend, error) { return nil, errBuild }
