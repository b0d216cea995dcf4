package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// record is what the library made of the texts: hashes of ids and texts, and its speed in MB/s.
type record struct {
	Path    string             `json:"path"`
	Whole   string             `json:"whole"`
	Tokens  int                `json:"tokens"`
	Parts   []string           `json:"parts"`
	Plain   []string           `json:"plain"`
	Decoded []string           `json:"decoded"`
	Skipped []string           `json:"skipped"`
	Single  string             `json:"single"`
	Vocab   int                `json:"vocab"`
	Lists   [][]int32          `json:"lists"`
	Texts   []string           `json:"texts"`
	Speed   map[string]float64 `json:"speed"`
}

// texts are what is encoded.
type texts struct {
	mixed, prose string
	parts        []string
}

func readTexts(dir string) (*texts, error) {
	mixed, err := os.ReadFile(filepath.Join(dir, "mixed.txt"))
	if err != nil {
		return nil, err
	}
	prose, err := os.ReadFile(filepath.Join(dir, "prose.txt"))
	if err != nil {
		return nil, err
	}
	t := &texts{mixed: string(mixed), prose: string(prose)}
	return t, readJSON(filepath.Join(dir, "parts.json"), &t.parts)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// measure returns the cells of a row and what differs, the first of each kind.
func measure(path string, t *texts) (row string, differs []string, err error) {
	var r record
	if err := readJSON(path, &r); err != nil {
		return "", nil, err
	}
	begun := processorTime()
	tok, err := tokenizer.Load(r.Path)
	if err != nil {
		return "", nil, err
	}
	load := processorTime() - begun
	flat := encoded(tok.Encode(t.mixed, true))
	differs, count := r.compare(tok, t, flat)
	speeds := []struct {
		name  string
		bytes int
		f     func()
	}{
		{"prose", len(t.prose), func() { tok.Encode(t.prose, true) }},
		{"mixed", len(t.mixed), func() { tok.Encode(t.mixed, true) }},
		{"short", len(t.mixed), func() {
			for _, p := range t.parts {
				tok.Encode(p, true)
			}
		}},
		{"decode", len(t.mixed), func() { tok.Decode(flat, true) }},
	}
	var cells []string
	for _, s := range speeds {
		cells = append(cells, fmt.Sprintf("%.1f / %.1f", speed(s.bytes, s.f), r.Speed[s.name]))
	}
	return strings.Join(append(cells, fmt.Sprintf("%.2f s", load.Seconds()), fmt.Sprint(count)), " | "), differs, nil
}

// speed is the best of three, in MB per second of processor time, garbage collection included.
func speed(bytes int, f func()) float64 {
	best := 0.0
	for range 3 {
		runtime.GC()
		begun := processorTime()
		f()
		best = max(best, float64(bytes)/(processorTime()-begun).Seconds()/1e6)
	}
	return best
}

// compare returns the first difference of each kind, and how many there are.
func (r *record) compare(tok *tokenizer.Tokenizer, t *texts, flat []int32) (differs []string, count int) {
	kinds := map[string]bool{}
	differ := func(same bool, kind string, of, got any) {
		if same {
			return
		}
		if count++; !kinds[kind] {
			kinds[kind] = true
			differs = append(differs, fmt.Sprintf("%s of %q: %.400v", kind, of, got))
		}
	}
	differ(digest(flat) == r.Whole, "ids of all text", "mixed.txt", fmt.Sprintf("%d tokens, want %d", len(flat), r.Tokens))
	for i, p := range t.parts {
		ids := encoded(tok.Encode(p, true))
		differ(digest(ids)[:16] == r.Parts[i], "ids", p, ids)
		ids = encoded(tok.Encode(p, false))
		differ(digest(ids)[:16] == r.Plain[i], "ids without special tokens", p, ids)
		text := tok.Decode(ids, false)
		differ(hash(text)[:16] == r.Decoded[i], "text", p, text)
		text = tok.Decode(ids, true)
		differ(hash(text)[:16] == r.Skipped[i], "text without special tokens", p, text)
	}
	for i, ids := range r.Lists {
		text := tok.Decode(ids, false)
		differ(text == r.Texts[i], fmt.Sprintf("text %q", r.Texts[i]), fmt.Sprint(ids), text)
	}
	single := make([]string, r.Vocab)
	for i := range single {
		single[i] = tok.Decode([]int32{int32(i)}, false)
	}
	differ(hash(strings.Join(single, "\x00")) == r.Single, "texts of single ids", "all", "")
	return differs, count
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func digest(ids []int32) string {
	b := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return hash(string(b))
}

// encoded returns the ids of a text that every pattern can be matched against.
func encoded(ids []int32, err error) []int32 {
	if err != nil {
		panic(err)
	}
	return ids
}
