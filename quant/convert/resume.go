package convert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// Interrupted is the error of a conversion that can be resumed: the caller ended it, or the disk
// was full.
type Interrupted struct {
	Err            error
	Work           string // directory where everything is
	Whole, Tensors int    // tensors that are written, and all of them
}

func (e *Interrupted) Error() string {
	return fmt.Sprintf("%v; %d of %d tensors are complete in %s", e.Err, e.Whole, e.Tensors, e.Work)
}

func (e *Interrupted) Unwrap() error { return e.Err }

// ErrChanged says that unfinished work is of another source or of other options.
var ErrChanged = errors.New("cannot be resumed")

// origin is what the bytes of a bundle follow from.
type origin struct {
	Generator    string              `json:"generator"`
	Quantization bundle.Quantization `json:"quantization"`
	Plan         string              `json:"plan"`      // SHA-256 of what else the manifest will say, but for hashes
	Tokenizer    string              `json:"tokenizer"` // its SHA-256
	Files        []originFile        `json:"files"`
}

type originFile struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// origin describes the conversion for whoever goes on with it.
func (p *plan) origin(f *files) (*origin, error) {
	m := p.manifest(nil)
	m.Tensors, m.Files = p.tensors, p.files
	text, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	sum, tokenizer := sha256.Sum256(text), sha256.Sum256(p.src.Tokenizer)
	o := &origin{
		Generator: p.opts.Generator, Quantization: p.opts.record(p.src.Weights.Tensors()),
		Plan: hex.EncodeToString(sum[:]), Tokenizer: hex.EncodeToString(tokenizer[:]),
	}
	for i, file := range f.list {
		o.Files = append(o.Files, originFile{file.Name, file.Size, f.changed[i].UTC()})
	}
	return o, nil
}

// create starts the bundle, or goes on with one.
func (p *plan) create(ctx context.Context, f *files, out string) (*bundle.Writer, error) {
	now, err := p.origin(f)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	return bundle.Create(ctx, out, p.tensors, bundle.Options{
		Force: p.opts.Force, MaxFile: p.opts.MaxFile, Stale: p.opts.Stale, Origin: text,
		Accept: func(text []byte, notes map[string]string) error {
			var was origin
			if err := json.Unmarshal(text, &was); err != nil {
				return fmt.Errorf("%w: %w", ErrChanged, err)
			}
			f.noted = notes
			return now.accept(ctx, &was, f)
		},
	})
}

// accept reports why work of the origin was cannot be resumed. A file that has its size but
// another time is hashed: it may only have been copied.
func (o *origin) accept(ctx context.Context, was *origin, f *files) error {
	switch {
	case was.Generator != o.Generator:
		return fmt.Errorf("%w: %s began it, this is %s", ErrChanged, was.Generator, o.Generator)
	case !reflect.DeepEqual(was.Quantization, o.Quantization):
		return fmt.Errorf("%w: it was begun with other options: %s", ErrChanged, difference(was.Quantization, o.Quantization))
	case len(was.Files) != len(o.Files):
		return fmt.Errorf("%w: the checkpoint had %d files, now it has %d", ErrChanged, len(was.Files), len(o.Files))
	}
	for i, then := range was.Files {
		now := o.Files[i]
		switch {
		case then.Name != now.Name:
			return fmt.Errorf("%w: the checkpoint had %s, now %s", ErrChanged, then.Name, now.Name)
		case then.Size != now.Size:
			return fmt.Errorf("%w: %s had %d bytes, now it has %d", ErrChanged, then.Name, then.Size, now.Size)
		case !then.Modified.Equal(now.Modified):
			if err := f.same(ctx, i); err != nil {
				return err
			}
		}
	}
	if was.Tokenizer != o.Tokenizer {
		return fmt.Errorf("%w: the tokenizer has changed", ErrChanged)
	}
	if was.Plan != o.Plan {
		return fmt.Errorf("%w: the configuration of the model or its tokens has changed", ErrChanged)
	}
	return nil
}

// same reports a file of another time whose SHA-256 is not the one that was noted.
func (f *files) same(ctx context.Context, i int) error {
	if f.noted[f.list[i].Name] != "" {
		sum, err := hashFile(ctx, f.paths[i], make([]byte, 1<<20))
		if err != nil {
			return err
		}
		if sum == f.noted[f.list[i].Name] {
			return nil
		}
	}
	return fmt.Errorf("%w: %s was written since it began", ErrChanged, filepath.Base(f.paths[i]))
}

// difference lists what differs between two ways of quantization, by the names that the manifest has.
func difference(was, now bundle.Quantization) string {
	a, b := members(was), members(now)
	names := slices.Collect(maps.Keys(a))
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var list []string
	for _, name := range names {
		if x, y := cmp.Or(string(a[name]), "nothing"), cmp.Or(string(b[name]), "nothing"); x != y {
			list = append(list, fmt.Sprintf("%s was %s, now %s", name, x, y))
		}
	}
	return strings.Join(list, "; ")
}

// members returns what the manifest says of a quantization, by name.
func members(q bundle.Quantization) (m map[string]jsontext.Value) {
	data, err := json.Marshal(q)
	if err = cmp.Or(err, json.Unmarshal(data, &m)); err != nil {
		panic(err) // of our own struct
	}
	return m
}

// end removes what Run wrote and did not commit, or keeps it if it can be resumed.
func (p *plan) end(w *bundle.Writer, err error) error {
	stopped := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if err == nil || w.Done() == 0 || !stopped && !w.Failed() && !errors.Is(err, outdir.ErrSpace) {
		return errors.Join(err, w.Abort())
	}
	return &Interrupted{errors.Join(err, w.Keep()), w.Work(), w.Done(), len(p.tensors)}
}
