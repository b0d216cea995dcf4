package llm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// portable is a fake whose sequences can be saved: its state is the tokens, in two parts.
type portable struct {
	*fake
	layout map[string]string
}

func (p *portable) Layout() map[string]string { return p.layout }

func (p *portable) Kept() int {
	if k, ok := p.kept[p.selected]; ok && p.states {
		return k
	}
	return -1
}

func (p *portable) Reached() int { return p.Position() }

func (p *portable) Place(position, kept, reached int) error {
	if position < 0 || position > 1000 || kept > position || reached < position {
		return fmt.Errorf("a sequence of %d tokens", position)
	}
	p.caches[p.selected] = make([]int32, position)
	if kept >= 0 {
		p.kept[p.selected] = kept
	}
	return nil
}

func (p *portable) Held() []int {
	half := p.Position() / 2
	return []int{4 * half, 4 * (p.Position() - half)}
}

func (p *portable) part(i int) []int32 {
	cache, half := p.caches[p.selected], p.Position()/2
	return [][]int32{cache[:half], cache[half:]}[i]
}

func (p *portable) ReadHeld(_ context.Context, first int, data [][]byte) error {
	for i, d := range data {
		for j, id := range p.part(first + i) {
			binary.LittleEndian.PutUint32(d[4*j:], uint32(id))
		}
	}
	return nil
}

func (p *portable) WriteHeld(first int, data [][]byte) error {
	for i, d := range data {
		part := p.part(first + i)
		for j := range part {
			part[j] = int32(binary.LittleEndian.Uint32(d[4*j:]))
		}
	}
	return nil
}

// portableModel is a Model of a portable fake, with an identity.
func portableModel(sequences int, id string, layout map[string]string) (*Model, *portable) {
	p := &portable{newFake(sequences), layout}
	return New(Parts{Engine: p, Vocabulary: Vocabulary{BOS: -1, EOS: []int{fakeEOS}}, Identify: func(context.Context) (string, error) { return id, nil }}), p
}

var someLayout = map[string]string{"engine": "fake", "context": "1000"}

// TestSave goes on from a saved sequence in another model, with states that were kept or without.
func TestSave(t *testing.T) {
	for _, states := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "saved")
		from, f := portableModel(3, "a model", someLayout)
		f.states = states
		session(t, from)
		s := session(t, from)
		o := GenerateOptions{MaxTokens: 9, Sampling: Sampling{Temperature: 1, Seed: 3}}
		first := generated(t, s, numbers(2, 31), o)
		h, err := s.Save(t.Context(), path)
		info, failed := os.Stat(path)
		if err != nil || failed != nil || h.Tokens != 39 || h.Model != "a model" || !maps.Equal(h.Layout, someLayout) || h.Bytes != info.Size() {
			t.Fatalf("%+v, %v, %v", h, err, failed)
		}
		for _, prompt := range [][]int32{slices.Concat(numbers(2, 31), first.Tokens, []int32{7, 8}), append(numbers(2, 31), 40)} {
			to, g := portableModel(2, "a model", someLayout)
			g.states = states
			other := session(t, to)
			generated(t, other, numbers(5, 50), o)
			if got, err := other.Restore(t.Context(), path); err != nil || got.Tokens != 39 || got.Bytes != h.Bytes {
				t.Fatalf("%+v, %v", got, err)
			}
			if _, err := s.Restore(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			g.fed = 0
			got, want := generated(t, other, prompt, o), generated(t, s, prompt, o)
			if !slices.Equal(got.Tokens, want.Tokens) || got.Stats.CachedTokens != want.Stats.CachedTokens || got.Stats.CachedTokens < 31-keptShort {
				t.Errorf("%v with %d tokens cached, without saving %v with %d", got.Tokens, got.Stats.CachedTokens, want.Tokens, want.Stats.CachedTokens)
			}
		}
	}
}

// TestSaveEmpty saves a sequence without tokens.
func TestSaveEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "saved")
	m, _ := portableModel(1, "a model", someLayout)
	s := session(t, m)
	if h, err := s.Save(t.Context(), path); err != nil || h.Tokens != 0 {
		t.Fatal(h, err)
	}
	generated(t, s, numbers(1, 9), GenerateOptions{MaxTokens: 1})
	if _, err := s.Restore(t.Context(), path); err != nil || len(s.Tokens()) != 0 {
		t.Errorf("%v, %v", s.Tokens(), err)
	}
}

// TestSaveShifted saves a sequence that was shifted: only what was computed before that goes into the file.
func TestSaveShifted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "saved")
	m, p := portableModel(1, "a model", someLayout)
	p.room = 30
	s := session(t, m)
	r := generated(t, s, numbers(2, 20), GenerateOptions{MaxTokens: 15, Overflow: OverflowShift, Keep: 6})
	if h, err := s.Save(t.Context(), path); err != nil || r.Stats.DroppedTokens == 0 || h.Tokens != 6 || !slices.Equal(s.Tokens(), numbers(2, 6)) {
		t.Errorf("%+v, %v, %d dropped, %v", h, err, r.Stats.DroppedTokens, s.Tokens())
	}
}

// TestDamaged reads files that were cut off at each byte, changed in each byte, and continued: none is taken, and the session is
// empty or as it was.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "saved")
	m, _ := portableModel(1, "a model", someLayout)
	s := session(t, m)
	generated(t, s, numbers(2, 11), GenerateOptions{MaxTokens: 2})
	if _, err := s.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Tokens()
	refused := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Restore(t.Context(), path)
		if !errors.Is(err, ErrSaved) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
		if now := s.Tokens(); len(now) != 0 && !slices.Equal(now, before) || len(now) != m.engine.Position() {
			t.Errorf("%s: the session has the tokens %v, the cache %d", what, now, m.engine.Position())
		}
	}
	for i := range whole {
		refused(fmt.Sprintf("cut off at byte %d", i), whole[:i])
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(whole)
			changed[i] ^= bit
			refused(fmt.Sprintf("byte %d changed by %d", i, bit), changed)
		}
	}
	refused("continued", append(bytes.Clone(whole), 0))
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restore(t.Context(), path); err != nil || !slices.Equal(s.Tokens(), before) {
		t.Errorf("the whole file: %v, %v", s.Tokens(), err)
	}
}

// TestSaveErrors says what differs, and leaves no file.
func TestSaveErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "saved")
	m, _ := portableModel(1, "0123456789abcdef0123", someLayout)
	s := session(t, m)
	generated(t, s, numbers(2, 11), GenerateOptions{MaxTokens: 2})
	if _, err := s.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	restore := func(id string, layout map[string]string) error {
		m, _ := portableModel(1, id, layout)
		_, err := session(t, m).Restore(t.Context(), path)
		return err
	}
	plain, _ := fakeModel(1)
	_, notPortable := session(t, plain).Save(t.Context(), filepath.Join(dir, "other"))
	_, noFile := s.Restore(t.Context(), filepath.Join(dir, "nothing"))
	_, noFolder := s.Save(t.Context(), filepath.Join(dir, "nothing", "saved"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, canceled := s.Save(ended, filepath.Join(dir, "other"))
	if err := os.Symlink(path, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	_, link := s.Restore(t.Context(), filepath.Join(dir, "link"))
	for want, err := range map[string]error{
		"another model: 0123456789abcdef…, this one is fedcba9876543210…": restore("fedcba98765432100123", someLayout),
		`saved with context "1000", here it is "500"`:                     restore("0123456789abcdef0123", map[string]string{"engine": "fake", "context": "500"}),
		`saved with context "1000", here it is ""`:                        restore("0123456789abcdef0123", map[string]string{"engine": "fake"}),
		`saved with KV bits "", here it is "16"`:                          restore("0123456789abcdef0123", map[string]string{"engine": "fake", "context": "1000", "KV bits": "16"}),
		"sequences of this engine cannot be saved":                        notPortable,
		"no such file": noFile, "nothing: no such": noFolder, "context canceled": canceled, "no regular file": link,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	recent, old := filepath.Join(dir, ".saved.1.partial"), filepath.Join(dir, ".saved.2.partial")
	for _, path := range []string{recent, old} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-2 * abandoned)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if _, failed := os.Stat(recent); err != nil || failed != nil || len(entries) != 3 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// FuzzRestore restores whatever is given: what is taken is saved as the same bytes again, and what is refused leaves a session
// that can be used.
func FuzzRestore(f *testing.F) {
	f.Add([]byte(savedMagic))
	f.Add([]byte(savedMagic + "\xff\xff\xff\xff"))
	m, _ := portableModel(1, "a model", someLayout)
	s, err := m.NewSession()
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 3} {
		if s.fed, err = nil, m.engine.Forward(context.Background(), numbers(1, n), n, nil); err != nil {
			f.Fatal(err)
		}
		s.fed = numbers(1, n)
		var file bytes.Buffer
		if _, err := s.write(context.Background(), &file); err != nil {
			f.Fatal(err)
		}
		f.Add(file.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := s.read(t.Context(), bytes.NewReader(data), int64(len(data)))
		if len(s.Tokens()) != m.engine.Position() {
			t.Fatalf("%d tokens, and %d in the cache", len(s.Tokens()), m.engine.Position())
		}
		var again bytes.Buffer
		if _, failed := s.write(t.Context(), &again); failed != nil || err == nil && !bytes.Equal(again.Bytes(), data) {
			t.Errorf("saved again (%v), it is %q, was %q", failed, again.Bytes(), data)
		}
	})
}
