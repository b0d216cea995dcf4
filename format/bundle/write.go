//go:build !js

package bundle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/sha256"
)

// Writer writes a bundle. Everything goes to a directory beside the target, which Commit renames; a
// journal there says which tensors are whole. A caller defers Abort, which removes what was neither
// committed nor kept.
type Writer struct {
	dir     *outdir.Dir
	files   []File
	tensors []Tensor // as laid out; those before next are whole
	next    int
	whole   int // tensors that an earlier run had written
	begun   bool
	at      int64 // bytes written of the tensor begun
	hash    hash.Hash
	blob    *os.File // of the tensor that was last begun
	journal *journal
	vocab   Tokenizer // its size and hash

	stop    func()        // ends the syncing in the background
	syncing sync.Mutex    // guards blob and syncErr while that runs
	syncErr error         // what it met
	failed  error         // the first error of a write
	done    chan struct{} // closed when it has ended
}

// Options say how a bundle is written.
type Options struct {
	Force   bool  // replace an existing bundle
	MaxFile int64 // bytes that a file of tensors may have; 0: any
	Stale   outdir.Stale

	// Origin is JSON that says what the bytes depend on. It is kept with unfinished work, and
	// Accept, if it is not nil, reports why work of another origin cannot be resumed; notes are
	// what Note kept.
	Origin []byte
	Accept func(origin []byte, notes map[string]string) error
}

// syncEvery is how often the disk is made to know what is written: so often that little is left for the
// end.
const syncEvery = 400 * time.Millisecond

// Create starts a bundle of the given tensors that will be dir. The caller sets name, role, layer,
// shape, type, block and method of the tensors; the writer sets the rest. With outdir.Resume it
// continues after the tensors that an earlier run completed, see Whole.
func Create(ctx context.Context, dir string, tensors []Tensor, o Options) (*Writer, error) {
	w := &Writer{tensors: slices.Clone(tensors)}
	var err error
	if w.files, err = Layout(w.tensors, o.MaxFile); err != nil {
		return nil, err
	}
	if w.dir, err = outdir.Open(dir, o.outdir()); err != nil {
		return nil, err
	}
	if err := w.open(ctx, o); err != nil {
		if w.dir.Resumed() { // it is not ours to remove
			return nil, errors.Join(err, w.Keep())
		}
		return nil, errors.Join(err, w.Abort())
	}
	w.background()
	return w, nil
}

// CheckTarget reports, before any work, why Create would fail for dir.
func CheckTarget(dir string, o Options) error { return outdir.Check(dir, o.outdir()) }

func (o Options) outdir() outdir.Options {
	owns := func(name string) bool { return name == ManifestName || name == VocabName || isBlobName(name) }
	return outdir.Options{Force: o.Force, Stale: o.Stale, Owns: owns}
}

// open starts the journal, or goes on with the one that is there.
func (w *Writer) open(ctx context.Context, o Options) error {
	path := w.dir.Beside(journalName)
	if w.dir.Resumed() {
		was, err := readJournal(path)
		if err != nil {
			return err
		}
		if o.Accept != nil {
			if err := o.Accept(was.origin, was.notes); err != nil {
				return fmt.Errorf("%s: %w", w.dir.Work(), err)
			}
		}
		if err := w.adopt(ctx, was); err != nil {
			return err
		}
		o.Origin = was.origin
		w.journal, err = startJournal(path, o.Origin, was.notes, w.tensors[:w.whole])
		return err
	}
	var err error
	w.journal, err = startJournal(path, o.Origin, nil, nil)
	return err
}

// background makes the disk know, every now and then, what is written. That is only to lose little
// when the power fails: whoever resumes hashes what is there.
func (w *Writer) background() {
	w.done = make(chan struct{})
	stop := make(chan struct{})
	w.stop = sync.OnceFunc(func() { close(stop); <-w.done })
	go func() {
		defer close(w.done)
		tick := time.NewTicker(syncEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.sync()
			case <-stop:
				return
			}
		}
	}()
}

func (w *Writer) sync() {
	w.syncing.Lock()
	blob := w.blob
	w.syncing.Unlock()
	var err error
	if blob != nil {
		err = blob.Sync()
	}
	if errors.Is(err, os.ErrClosed) { // whoever closed it has synced it
		err = nil
	}
	err = errors.Join(err, w.journal.sync())
	w.syncing.Lock()
	w.syncErr = errors.Join(w.syncErr, err)
	w.syncing.Unlock()
}

// Whole reports how many tensors, from the first on, an earlier run has completed.
func (w *Writer) Whole() int { return w.whole }

// Tensors returns the tensors; those that have ended are complete.
func (w *Writer) Tensors() []Tensor { return w.tensors }

// Work returns the directory where everything is until Commit.
func (w *Writer) Work() string { return w.dir.Work() }

// Failed reports whether writing failed, for example because the disk was full: then the work is worth keeping.
func (w *Writer) Failed() bool { return w.failed != nil }

// Done reports how many tensors are written.
func (w *Writer) Done() int { return w.next }

// ReadTensor fills p with the bytes of tensor i, which is whole.
func (w *Writer) ReadTensor(i int, p []byte) error {
	t := &w.tensors[i]
	f, err := os.Open(w.dir.Path(w.files[t.File].Name))
	if err != nil {
		return err
	}
	defer f.Close()
	return readAt(f, p, t.Offset)
}

// Note keeps a value beside the unfinished work.
func (w *Writer) Note(key, value string) error {
	return w.keepError(w.journal.add(&record{Note: &note{key, value}}))
}

// keepError remembers that writing failed.
func (w *Writer) keepError(err error) error {
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return err
}

// Begin starts the next tensor, which must be the next of those given to Create.
func (w *Writer) Begin(t Tensor) error {
	switch {
	case w.begun:
		return fmt.Errorf("tensor %q: begun before %q ended", t.Name, w.tensors[w.next].Name)
	case w.next == len(w.tensors) || w.tensors[w.next].Name != t.Name:
		return fmt.Errorf("tensor %q: it is not its turn", t.Name)
	}
	if err := w.keepError(w.enter(&w.tensors[w.next])); err != nil {
		return err
	}
	w.begun, w.at, w.hash = true, 0, sha256.New()
	return nil
}

// enter opens the file of t at the place of t. A file that is new gets zeros where its header goes
// when all is done.
func (w *Writer) enter(t *Tensor) error {
	first := w.next == 0 || w.tensors[w.next-1].File != t.File
	if w.blob != nil && !first {
		return nil
	}
	if err := w.leave(); err != nil {
		return err
	}
	f, err := os.OpenFile(w.dir.Path(w.files[t.File].Name), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	w.syncing.Lock()
	w.blob = f
	w.syncing.Unlock()
	if err := f.Truncate(t.Offset); err != nil {
		return err
	}
	_, err = f.Seek(t.Offset, io.SeekStart)
	return err
}

// leave closes the file that was written to.
func (w *Writer) leave() error {
	w.syncing.Lock()
	f := w.blob
	w.blob = nil
	w.syncing.Unlock()
	if f == nil {
		return nil
	}
	return errors.Join(f.Sync(), f.Close())
}

// Write writes the next bytes of the tensor begun.
func (w *Writer) Write(p []byte) (int, error) {
	if !w.begun {
		return 0, errors.New("bundle: Write outside a tensor")
	}
	w.hash.Write(p)
	n, err := w.blob.Write(p)
	w.at += int64(n)
	return n, w.keepError(err)
}

// End ends the tensor begun, of which all bytes must have been written.
func (w *Writer) End(o Outcome) error {
	if !w.begun {
		return errors.New("bundle: End outside a tensor")
	}
	t := &w.tensors[w.next]
	if w.at != t.Length {
		return fmt.Errorf("tensor %q: %d bytes written: want %d", t.Name, w.at, t.Length)
	}
	t.SHA256, t.Outcome = hex.EncodeToString(w.hash.Sum(nil)), o
	end := t.Offset + t.Length
	if _, err := w.blob.Write(make([]byte, aligned(end)-end)); err != nil {
		return w.keepError(err)
	}
	w.begun = false
	w.next++
	return w.keepError(w.journal.add(tensorRecord(w.next-1, t)))
}

// Vocab writes vocab.json.
func (w *Writer) Vocab(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("%s: the tokenizer is empty", VocabName)
	}
	w.vocab.Size, w.vocab.SHA256 = int64(len(data)), hexSHA256(data)
	return w.keepError(outdir.WriteFile(w.dir.Path(VocabName), data))
}

// Commit completes m with version, id, files, tensors and the tokenizer's size and hash, and makes
// the bundle appear. After an error nothing has appeared.
func (w *Writer) Commit(m *Manifest) error {
	if w.begun {
		return fmt.Errorf("tensor %q: not ended", w.tensors[w.next].Name)
	}
	m.FormatVersion, m.Files, m.Tensors = Version, w.files, w.tensors[:w.next]
	m.Tokenizer.Size, m.Tokenizer.SHA256 = w.vocab.Size, w.vocab.SHA256
	data, err := m.complete()
	if err != nil {
		return err
	}
	if err := w.keepError(w.finish(m.ID, data)); err != nil {
		return err
	}
	return w.keepError(w.dir.Commit())
}

// complete sets the id and returns the manifest as it is stored, checked as a reader will.
func (m *Manifest) complete() ([]byte, error) {
	data, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	if m.ID, err = idOf(data); err != nil {
		return nil, err
	}
	if data, err = m.Marshal(); err != nil {
		return nil, err
	}
	_, err = ParseManifest(data)
	return data, err
}

// finish writes headers and manifest and waits until the disk has everything. The journal is closed,
// for it is about to be removed.
func (w *Writer) finish(id string, manifest []byte) error {
	w.stop()
	if err := errors.Join(w.leave(), w.syncErr, w.journal.close()); err != nil {
		return err
	}
	for i, f := range w.files {
		if err := writeHeader(w.dir.Path(f.Name), header(id, i, f.Size)); err != nil {
			return err
		}
	}
	return outdir.WriteFile(w.dir.Path(ManifestName), manifest)
}

func writeHeader(path string, head []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Sync()
}

// Abort removes what was written, unless it was committed or kept.
func (w *Writer) Abort() error { return errors.Join(w.close(), w.dir.Abort()) }

// Keep leaves what was written, for a later run to resume.
func (w *Writer) Keep() error { return errors.Join(w.close(), w.dir.Keep()) }

func (w *Writer) close() error {
	if w.stop != nil {
		w.stop()
	}
	w.syncing.Lock()
	f := w.blob
	w.blob = nil
	w.syncing.Unlock()
	var err error
	if f != nil {
		err = f.Close()
	}
	if w.journal != nil {
		err = errors.Join(err, w.journal.close())
	}
	return err
}
