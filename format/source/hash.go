package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Hash returns a SHA-256, in hex, of everything that determines the weights of a checkpoint: configuration,
// adapters and files. m must be a checkpoint.
func (m *Model) Hash(ctx context.Context) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%q\n", m.Checkpoint.Config(), m.Merged)
	for _, f := range m.Checkpoint.Files() {
		if err := hashFile(ctx, sum, f.Path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Fingerprint returns a SHA-256, in hex, of everything that determines the weights of a bundle or a checkpoint: for a
// bundle, its ID and the hashes of its tensors in the manifest.
func (m *Model) Fingerprint(ctx context.Context) (string, error) {
	if m.Bundle == nil {
		return m.Hash(ctx)
	}
	sum := sha256.New()
	fmt.Fprintln(sum, m.Bundle.Manifest.ID)
	for _, t := range m.Bundle.Manifest.Tensors {
		fmt.Fprintln(sum, t.SHA256)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(ctx context.Context, sum io.Writer, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(sum, f)
	fmt.Fprintf(sum, "\n%d\n", n)
	return cmp.Or(err, ctx.Err())
}
