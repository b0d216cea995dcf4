package run

import (
	"errors"
	"fmt"
	"os"

	"github.com/llama-webgpu/llama-webgpu/format/source"
)

// openReference opens a checkpoint, or what else is the reference.
func (o *Options) openReference(dir string) (*source.Model, error) {
	ref, err := source.Open(dir, o.Reference.Edits...)
	if err != nil {
		return nil, err
	}
	ref.LogIgnored(o.Log)
	if err := ref.Merge(o.Reference.Adapters...); err != nil {
		return nil, errors.Join(err, ref.Close())
	}
	return ref, nil
}

// checkPair reports a bundle and a reference that there is no point in comparing.
func checkPair(b, ref *source.Model) error {
	one, errOne := os.Stat(b.Dir)
	other, errOther := os.Stat(ref.Dir)
	same := errOne == nil && errOther == nil && os.SameFile(one, other)
	if same || ref.Bundle != nil && ref.Bundle.Manifest.ID == b.Bundle.Manifest.ID {
		return &OptionError{Err: fmt.Errorf("%s: the reference %s is the same bundle, and comparing it with itself proves nothing: give the checkpoint that it was made from", b.Dir, ref.Dir)}
	}
	if have, want := b.Weights.Spec().Vocab, ref.Weights.Spec().Vocab; have != want {
		return fmt.Errorf("%s: has a vocabulary of %d, %s one of %d: it was not made from that checkpoint", b.Dir, have, ref.Dir, want)
	}
	return nil
}
