//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/gpu/internal/dawn"
	"github.com/llama-webgpu/llama-webgpu/gpu/internal/pipelinecache"
)

// keepPipelines opens the cache that o chooses for what a library compiles, nil if there is none: a cache that cannot be
// used is no reason not to run. The library adds the driver and the kernel to the keys, so nothing but the library itself
// has to be told apart. One whose file is not known, because the system found it, may change unseen: its
// pipelines are not kept.
func keepPipelines(o Options, library string) dawn.Cache {
	dir := o.PipelineCache
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(user, "llama-webgpu", "pipelines")
	}
	file, err := os.Stat(library)
	if dir == PipelineCacheOff || err != nil || !filepath.IsAbs(library) {
		return nil
	}
	compiler := fmt.Sprintf("%s, %d bytes, of %d", library, file.Size(), file.ModTime().UnixNano())
	failed := func(err error) { o.Log.Debug("compiled kernels are not kept", "reason", err) }
	c, err := pipelinecache.Open(dir, compiler, pipelinecache.DefaultSize, failed)
	if err != nil {
		failed(err)
		return nil
	}
	return c
}
