//go:build !js && !((linux || darwin || windows) && (amd64 || arm64))

package gpu

func findDawn(Select) (driver, error) { return nil, errNoLibrary }
