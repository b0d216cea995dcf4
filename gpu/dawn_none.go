//go:build !js && !((linux || darwin || windows) && (amd64 || arm64))

package gpu

func findDawn(Options) (driver, error) { return nil, errNoLibrary }
