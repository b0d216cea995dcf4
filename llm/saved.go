//go:build !js

package llm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
)

// ErrSaved is the error of a file that is no saved sequence, is damaged, or was saved by another model or another kind of engine.
var ErrSaved = errors.New("saved sequence")

// Portable is an Engine, or a Forwarder, whose sequences can be taken out of it and put back.
type Portable interface {
	// Layout says how a sequence's state lies in memory, as names and values: states go only between engines of the same model and
	// of equal layouts.
	Layout() map[string]string
	Kept() int                               // where the states of the selected sequence were kept, −1: nowhere
	Reached() int                            // how many tokens the selected sequence has had at most since it was empty
	Place(position, kept, reached int) error // makes a sequence that is empty one of so many tokens, whose state is then to be written
	Held() (bytes []int)                     // the sizes of the parts of the selected sequence's state
	WriteHeld(i int, data [][]byte) error    // writes parts of the state, the i-th one first
	ReadHeld(ctx context.Context, i int, data [][]byte) error
}

// Saved says what is in the file of a saved sequence.
type Saved struct {
	Model   string            `json:"model"`   // hash of bundle or checkpoint, adapters included
	Layout  map[string]string `json:"layout"`  // of the engine, see Portable
	Tokens  int               `json:"tokens"`  // that the sequence has
	Kept    int               `json:"kept"`    // see Portable
	Reached int               `json:"reached"` // see Portable
	Bytes   int64             `json:"-"`       // of the file
}

// A file has a magic, the length of the header (u32, little-endian), the header (Saved as JSON) and the SHA-256 of all this;
// then the tokens (i32 each), the parts of the state in the engine's order, and the SHA-256 of everything before it.
const (
	savedMagic = "llama-webgpu sequence 2\n"
	mostHeader = 1 << 20
	atOnce     = 8 << 20 // bytes that are read or written while no other text is computed
)

// portable returns the engine, if its sequences can be saved.
func (m *Model) portable() (Portable, error) {
	e := any(m.engine)
	if c, ok := e.(*cpu); ok {
		e = c.Forwarder
	}
	p, ok := e.(Portable)
	if !ok {
		return nil, fmt.Errorf("%T: sequences of this engine cannot be saved", e)
	}
	if m.identify == nil {
		return nil, errors.New("the model has no identity to be recognized by: its sequences cannot be saved")
	}
	return p, nil
}

// header describes the sequence, and returns the sizes of the parts of its state. What a shift has left in it, no other text can
// use: it is dropped.
func (s *Session) header(ctx context.Context, p Portable) (h Saved, tokens []int32, parts []int, err error) {
	if h.Model, err = s.m.identify(ctx); err != nil {
		return h, nil, nil, err
	}
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return h, nil, nil, err
	}
	if _, err := s.rewind(s.fed, len(s.fed)); err != nil {
		return h, nil, nil, err
	}
	h.Layout, h.Tokens, h.Kept, h.Reached = p.Layout(), len(s.fed), p.Kept(), p.Reached()
	return h, slices.Clone(s.fed), p.Held(), nil
}

// write writes a saved sequence.
func (s *Session) write(ctx context.Context, out io.Writer) (Saved, error) {
	p, err := s.m.portable()
	if err != nil {
		return Saved{}, err
	}
	h, tokens, parts, err := s.header(ctx, p)
	if err != nil {
		return Saved{}, err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return Saved{}, err
	}
	w := &summing{w: out, sum: sha256.New()}
	w.write([]byte(savedMagic), binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text)
	w.seal()
	raw := make([]byte, 0, 4*len(tokens))
	for _, id := range tokens {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
	}
	w.write(raw)
	err = inPieces(parts, func(first int, data [][]byte) error {
		if w.err != nil {
			return w.err
		}
		if err := s.held(func() error { return p.ReadHeld(ctx, first, data) }); err != nil {
			return err
		}
		w.write(data...)
		return errors.Join(w.err, ctx.Err())
	})
	if err != nil {
		return Saved{}, err
	}
	w.seal()
	h.Bytes = w.n
	return h, w.err
}

// held calls f with the engine for itself and the session's sequence selected.
func (s *Session) held(f func() error) error {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return err
	}
	return f()
}

// inPieces calls f with slices for some parts at a time, of these sizes.
func inPieces(parts []int, f func(first int, data [][]byte) error) error {
	var data [][]byte
	var room []byte
	for first := 0; first < len(parts); first += len(data) {
		data = data[:0]
		n, end := 0, first
		for end < len(parts) && (n == 0 || n+parts[end] <= atOnce) {
			n += parts[end]
			end++
		}
		room = slices.Grow(room[:0], n)[:n]
		at := 0
		for _, size := range parts[first:end] {
			data = append(data, room[at:at+size:at+size])
			at += size
		}
		if err := f(first, data); err != nil {
			return err
		}
	}
	return nil
}

// summing writes and adds up a hash.
type summing struct {
	w   io.Writer
	sum hash.Hash
	n   int64
	err error // the first one
}

func (s *summing) write(data ...[]byte) {
	for _, d := range data {
		if s.err == nil {
			_, s.err = s.w.Write(d)
			s.sum.Write(d)
			s.n += int64(len(d))
		}
	}
}

// seal writes the hash of everything so far.
func (s *summing) seal() { s.write(s.sum.Sum(nil)) }

// readSaved reads the header.
func readSaved(r io.Reader) (h Saved, err error) {
	sum := sha256.New()
	from := io.TeeReader(r, sum)
	start := make([]byte, len(savedMagic)+4)
	if _, err := io.ReadFull(from, start); err != nil || !bytes.HasPrefix(start, []byte(savedMagic)) {
		return h, fmt.Errorf("%w: it does not begin as one that this version of llama-webgpu has written", ErrSaved)
	}
	n := binary.LittleEndian.Uint32(start[len(savedMagic):])
	if n > mostHeader {
		return h, fmt.Errorf("%w: it is damaged: its header has %d bytes", ErrSaved, n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(from, text); err != nil {
		return h, fmt.Errorf("%w: it is damaged: it ends in its header", ErrSaved)
	}
	want := sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		return h, fmt.Errorf("%w: it is damaged: its header is not what was saved", ErrSaved)
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("%w: header: %w", ErrSaved, err)
	}
	h.Bytes = int64(len(start)+len(text)) + 2*sha256.Size
	return h, nil
}

// matches reports what differs between a saved sequence and what this model would save.
func (h *Saved) matches(model string, layout map[string]string) error {
	if h.Model != model {
		return fmt.Errorf("%w: it was saved by another model: %.16s…, this one is %.16s…", ErrSaved, h.Model, model)
	}
	names := slices.Collect(maps.Keys(layout))
	names = slices.AppendSeq(names, maps.Keys(h.Layout))
	slices.Sort(names)
	for _, name := range names {
		if h.Layout[name] != layout[name] {
			return fmt.Errorf("%w: it was saved with %s %q, here it is %q", ErrSaved, name, h.Layout[name], layout[name])
		}
	}
	return nil
}

// read reads a saved sequence of a file that has so many bytes into a session, which is empty after an error.
func (s *Session) read(ctx context.Context, r io.Reader, size int64) (h Saved, err error) {
	p, err := s.m.portable()
	if err != nil {
		return h, err
	}
	sum := sha256.New()
	in := io.TeeReader(r, sum)
	if h, err = readSaved(in); err != nil {
		return h, err
	}
	model, err := s.m.identify(ctx)
	if err != nil {
		return h, err
	}
	var parts []int
	err = s.held(func() error {
		if err := h.matches(model, p.Layout()); err != nil {
			return err
		}
		s.reset()
		if err := p.Place(h.Tokens, h.Kept, h.Reached); err != nil {
			return fmt.Errorf("%w: %w", ErrSaved, err)
		}
		parts = p.Held()
		return nil
	})
	if err != nil {
		return h, err
	}
	h.Bytes += 4 * int64(h.Tokens)
	for _, n := range parts {
		h.Bytes += int64(n)
	}
	tokens, err := s.restore(ctx, p, in, sum, parts, h, size)
	if failed := s.held(func() error {
		if s.fed = tokens; err != nil {
			s.reset()
		}
		return nil
	}); failed != nil {
		return h, errors.Join(err, failed)
	}
	return h, err
}

// restore reads tokens and state, and compares the hash.
func (s *Session) restore(ctx context.Context, p Portable, in io.Reader, sum hash.Hash, parts []int, h Saved, size int64) ([]int32, error) {
	if size != h.Bytes {
		return nil, fmt.Errorf("%w: it is damaged: it has %d bytes, want %d", ErrSaved, size, h.Bytes)
	}
	raw := make([]byte, 4*h.Tokens)
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, err
	}
	err := inPieces(parts, func(first int, data [][]byte) error {
		for _, part := range data {
			if _, err := io.ReadFull(in, part); err != nil {
				return err
			}
		}
		return errors.Join(s.held(func() error { return p.WriteHeld(first, data) }), ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	want, got := sum.Sum(nil), make([]byte, sha256.Size)
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
		return nil, fmt.Errorf("%w: it is damaged: what is in it is not what was saved", ErrSaved)
	}
	tokens := make([]int32, h.Tokens)
	for i := range tokens {
		tokens[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return tokens, nil
}
