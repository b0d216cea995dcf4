//go:build !js

package bundle

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/sha256"
)

// journalName is the file beside unfinished work that says what of it is whole. Each of its lines is
// the CRC-32 of the rest in 8 hex digits, a space, and a record as JSON; what follows the first line
// that is not so was cut off by a crash and does not count.
const journalName = "journal"

// record is one line: one of its members is there.
type record struct {
	Origin jsontext.Value `json:"origin,omitzero"` // of the first line
	Note   *note          `json:"note,omitzero"`
	Tensor *whole         `json:"tensor,omitzero"`
}

type note struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// whole says that a tensor was written to its end.
type whole struct {
	Index  int    `json:"index"`
	SHA256 string `json:"sha256"`
	Outcome
}

func tensorRecord(i int, t *Tensor) *record {
	return &record{Tensor: &whole{i, t.SHA256, t.Outcome}}
}

// journal is an open journal. Its methods may be called from several goroutines.
type journal struct {
	mu   sync.Mutex
	file *os.File // nil after close
}

// startJournal writes a new journal over the one that may be there.
func startJournal(path string, origin []byte, notes map[string]string, tensors []Tensor) (*journal, error) {
	var text bytes.Buffer
	records := []*record{{Origin: origin}}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		records = append(records, &record{Note: &note{key, notes[key]}})
	}
	for i := range tensors {
		records = append(records, tensorRecord(i, &tensors[i]))
	}
	for _, r := range records {
		l, err := r.line()
		if err != nil {
			return nil, err
		}
		text.Write(l)
	}
	if err := outdir.WriteFile(path+".new", text.Bytes()); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return &journal{file: f}, nil
}

func (r *record) line() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(text), text), nil
}

func (j *journal) add(r *record) error {
	line, err := r.line()
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return os.ErrClosed
	}
	_, err = j.file.Write(line)
	return err
}

func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	return j.file.Sync()
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	f := j.file
	j.file = nil
	return f.Close()
}

// kept is what a journal says.
type kept struct {
	origin  []byte
	notes   map[string]string
	tensors []whole // from the first on
}

// readJournal reads a journal up to where it breaks off.
func readJournal(path string) (*kept, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	k := parseJournal(data)
	if k.origin == nil {
		return nil, fmt.Errorf("%s: says nothing of what was begun: there is nothing to go on with", path)
	}
	return k, nil
}

// parseJournal reads the lines of a journal that are whole.
func parseJournal(data []byte) *kept {
	k := &kept{notes: map[string]string{}}
	for first := true; ; first = false {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		r, err := parseRecord(line)
		if !ok || err != nil || first != (r.Origin != nil) {
			return k
		}
		switch {
		case r.Origin != nil:
			k.origin = r.Origin
		case r.Note != nil:
			k.notes[r.Note.Key] = r.Note.Value
		case r.Tensor == nil || r.Tensor.Index != len(k.tensors):
			return k
		default:
			k.tensors = append(k.tensors, *r.Tensor)
		}
		data = rest
	}
}

func parseRecord(line []byte) (r record, err error) {
	if len(line) < 9 || line[8] != ' ' {
		return r, io.ErrUnexpectedEOF
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil {
		return r, err
	}
	if crc32.ChecksumIEEE(line[9:]) != uint32(sum) {
		return r, io.ErrUnexpectedEOF
	}
	return r, json.Unmarshal(line[9:], &r, json.RejectUnknownMembers(true))
}

// adopt takes over the tensors, from the first on, that an earlier run wrote and that have the hashes
// that it noted, and removes files of which none is left.
func (w *Writer) adopt(ctx context.Context, was *kept) error {
	n := min(len(was.tensors), len(w.tensors))
	good := make([]bool, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			buf := make([]byte, checkChunk)
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				good[i] = w.hashes(i, was.tensors[i].SHA256, buf)
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for w.whole < n && good[w.whole] {
		w.tensors[w.whole].SHA256, w.tensors[w.whole].Outcome = was.tensors[w.whole].SHA256, was.tensors[w.whole].Outcome
		w.whole++
	}
	w.next = w.whole
	return w.cutBack()
}

// hashes reports whether tensor i lies in its file, with this SHA-256 and zeros after it.
func (w *Writer) hashes(i int, sum string, buf []byte) bool {
	t := &w.tensors[i]
	f, err := os.Open(w.dir.Path(w.files[t.File].Name))
	if err != nil {
		return false
	}
	defer f.Close()
	h, end := sha256.New(), t.Offset+t.Length
	if _, err := io.CopyBuffer(h, onlyReader{io.NewSectionReader(f, t.Offset, t.Length)}, buf); err != nil {
		return false
	}
	pad := buf[:aligned(end)-end]
	if _, err := f.ReadAt(pad, end); err != nil && !(errors.Is(err, io.EOF) && len(pad) == 0) {
		return false
	}
	return hex.EncodeToString(h.Sum(nil)) == sum && slices.Max(append(pad, 0)) == 0
}

// onlyReader hides what else a reader can do, so that copying uses the buffer.
type onlyReader struct{ io.Reader }

// cutBack removes what lies after the whole tensors.
func (w *Writer) cutBack() error {
	ends := make([]int64, len(w.files))
	for _, t := range w.tensors[:w.whole] {
		ends[t.File] = aligned(t.Offset + t.Length)
	}
	for i, f := range w.files {
		var err error
		if path := w.dir.Path(f.Name); ends[i] == 0 {
			err = os.RemoveAll(path)
		} else {
			err = os.Truncate(path, ends[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
