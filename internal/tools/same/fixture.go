package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// windowTokens is how many tokens a model is fed, if its context has room for them: more than the sliding
// windows, chunks and first RoPE lengths of the small families.
const windowTokens = 96

// calibrationTokens is how many tokens each of the two windows has that gptq reads.
const calibrationTokens = 48

// window returns how many tokens to feed to a checkpoint.
func window(checkpoint string) (int, error) {
	path := filepath.Join(checkpoint, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var config struct {
		Positions int `json:"max_position_embeddings"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	if config.Positions == 0 { // some families call it otherwise
		return windowTokens, nil
	}
	return min(windowTokens, config.Positions), nil
}

// fixtures are the repository's checkpoints, and what is made to let them read.
type fixtures struct {
	testdata, dir string
	families      string // directory with the checkpoint of each family
	text          string // file with text for the tokenizer that small vocabularies get
	calibration   string // … with as little of it as calibration reads, two windows
}

func newFixtures(testdata, dir string) (*fixtures, error) {
	families, err := fixture.Make(filepath.Join(testdata, "families"), filepath.Join(testdata, "../build/families"))
	if err != nil {
		return nil, err
	}
	f := &fixtures{testdata: testdata, dir: dir, families: families, text: filepath.Join(dir, "text.txt"), calibration: filepath.Join(dir, "calibration.txt")}
	return f, errors.Join(
		os.MkdirAll(dir, 0o777),
		os.WriteFile(f.text, []byte(letters(4000)), 0o666),
		os.WriteFile(f.calibration, []byte(letters(2*calibrationTokens)), 0o666),
	)
}

// calibrated returns the options of gptq with a little of a text, for a device.
func (f *fixtures) calibrated(text string) func(device string) []string {
	return func(device string) []string {
		return []string{
			"--method", "gptq", "--calibration", text, "--calibration-windows", "2", "--calibration-tokens", strconv.Itoa(calibrationTokens),
			"--device", device,
		}
	}
}

// letters returns n letters in words, the same each time.
func letters(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		for range 1 + r.IntN(8) {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

// withTokenizer returns a directory with a checkpoint's files and, if it has none, a tokenizer whose tokens
// are letters.
func (f *fixtures) withTokenizer(name string) (string, error) {
	from, to := filepath.Join(f.testdata, name), filepath.Join(f.dir, name)
	if family, ok := strings.CutPrefix(name, "families/"); ok {
		from = filepath.Join(f.families, family)
	}
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return "", err
	}
	path := filepath.Join(to, "tokenizer.json")
	if _, err := os.Stat(path); err == nil {
		return to, nil
	}
	return to, os.WriteFile(path, tokenizer(), 0o666)
}

// tokenizer returns a tokenizer.json with 30 tokens: three special ones, letters and the space.
func tokenizer() []byte {
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2, "Ġ": 29}
	for i := range 26 {
		vocab[string(rune('a'+i))] = 3 + i
	}
	var added []any
	for i, token := range []string{"<unk>", "<s>", "</s>"} {
		added = append(added, map[string]any{
			"id": i, "content": token, "special": true,
			"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
		})
	}
	level := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	text, err := json.Marshal(map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "normalizer": nil, "post_processor": nil,
		"added_tokens": added, "pre_tokenizer": level, "decoder": level,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": []string{},
		},
	})
	if err != nil {
		panic(err) // these are maps and strings
	}
	return text
}

// digestOf returns a hash of all files in directories and of their names.
func digestOf(dirs ...string) (string, error) {
	sum := sha256.New()
	for _, dir := range dirs {
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(filepath.Join(dir, path))
			fmt.Fprintf(sum, "%s %d\n%s", path, len(data), data)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
