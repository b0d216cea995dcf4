package convert

import (
	"errors"

	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// blame names the file that was written meanwhile, if that is why reading failed.
func (f *files) blame(err error) error {
	if !errors.Is(err, mapped.ErrFault) {
		return err
	}
	if changed := f.unchanged(); changed != nil {
		return changed
	}
	return err
}
