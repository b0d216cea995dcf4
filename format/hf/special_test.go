package hf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// specialCase is one of testdata/make_special.py.
type specialCase struct {
	Name, Family string
	Config       map[string]any
	Files        map[string]json.RawMessage
	Want         struct {
		Special       map[string]string
		BOS, EOS, Pad *int
		IDs           []int32
		Template      string
	}
}

// TestSpecial holds names, ids and templates to those of transformers.
func TestSpecial(t *testing.T) {
	var all struct {
		Tokenizer json.RawMessage
		Cases     []specialCase
	}
	if err := json.Unmarshal(read(t, "testdata/special.json"), &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Cases {
		t.Run(c.Name, func(t *testing.T) {
			if c.Files["tokenizer.json"] == nil {
				c.Files["tokenizer.json"] = all.Tokenizer
			}
			open := mustOpen(t, c.dir(t))
			if diff := cmp.Diff(c.Want.Special, open.SpecialTokens(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("special tokens (want, have)\n%s", diff)
			}
			if diff := cmp.Diff(c.tokens(), open.Tokens()); diff != "" {
				t.Errorf("tokens (want, have)\n%s", diff)
			}
			if have := open.ChatTemplate(); have != c.Want.Template {
				t.Errorf("template %q, want %q", have, c.Want.Template)
			}
			tok, err := tokenizer.Parse(c.Files["tokenizer.json"])
			if err != nil {
				t.Fatal(err)
			}
			rebuilt := c.Name == "llama's class" // transformers puts a pre-tokenizer of its own in place of the file's
			if have := encoded(tok.Encode("ab", true)); !slices.Equal(have, c.Want.IDs) && !rebuilt {
				t.Errorf("ids %v, want %v", have, c.Want.IDs)
			}
		})
	}
}

// dir makes the directory.
func (c *specialCase) dir(t *testing.T) string {
	dir := copyOf(t, c.Family)
	edit(t, configOf(dir), func(m map[string]any) {
		for k, v := range c.Config {
			m[k] = v
		}
	})
	if err := os.Remove(filepath.Join(dir, "generation_config.json")); err != nil {
		t.Fatal(err)
	}
	for name, content := range c.Files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var text string
		if json.Unmarshal(content, &text) == nil {
			content = []byte(text)
		}
		write(t, path, content)
	}
	return dir
}

// tokens joins the ids of config.json with those that transformers' tokenizer has.
func (c *specialCase) tokens() Tokens {
	id := func(key string, tokenizers *int) int {
		if v, ok := c.Config[key].(float64); ok {
			return int(v)
		}
		if tokenizers != nil {
			return *tokenizers
		}
		return NoToken
	}
	want := Tokens{BOS: id("bos_token_id", c.Want.BOS), Pad: id("pad_token_id", c.Want.Pad)}
	if _, ok := c.Want.Special["bos_token"]; !ok && len(c.Want.Special) > 0 {
		want.BOS = NoToken
	}
	if eos := id("eos_token_id", nil); eos != NoToken {
		want.EOS = []int{eos}
	}
	if eos := c.Want.EOS; eos != nil && !slices.Contains(want.EOS, *eos) {
		want.EOS = append(want.EOS, *eos)
	}
	return want
}

// TestUnreadable: what is beside the weights does not keep them from being read.
func TestUnreadable(t *testing.T) {
	for _, c := range []struct{ name, file, content, note string }{
		{"cut", generationConfig, `{"eos_token_id": 4,`, "generation_config.json cannot be read and is left out: "},
		{"no object", generationConfig, `[]`, "generation_config.json cannot be read and is left out: want an object, have ["},
		{"text", generationConfig, `{"eos_token_id": "</s>"}`, `eos_token_id: "</s>" is no token id and is left out`},
		{"null in a list", generationConfig, `{"eos_token_id": [1, null, 2]}`, `eos_token_id: null is no token id and is left out`},
		{"settings", tokenizerConfig, `{"bos_token": <s>}`, "tokenizer_config.json cannot be read and is left out: "},
		{"a name", tokenizerConfig, `{"bos_token": 7}`, `tokenizer_config.json: bos_token: want a text, have 7: it is left out`},
		{"template", tokenizerConfig, `{"chat_template": 7}`, "tokenizer_config.json: chat_template cannot be read and is left out: want a text, have 7"},
		{"templates", tokenizerConfig, `{"chat_template": ["a"]}`, "tokenizer_config.json: chat_template cannot be read and is left out: "},
		{"map", specialTokensMap, ``, "special_tokens_map.json cannot be read and is left out: "},
		{"old template", oldTemplateFile, `nothing`, "chat_template.json cannot be read and is left out: "},
	} {
		dir := copyOf(t, "mistral")
		write(t, filepath.Join(dir, c.file), []byte(c.content))
		open := mustOpen(t, dir)
		if !slices.ContainsFunc(open.Notes(), func(n string) bool { return strings.HasPrefix(n, c.note) }) {
			t.Errorf("%s: notes %q, want %q", c.name, open.Notes(), c.note)
		}
		if want := strings.Contains(c.note, ".json cannot be read"); open.Unreadable(c.file) != want {
			t.Errorf("%s: unreadable: %v", c.name, !want)
		}
		if eos := open.Tokens().EOS; slices.Contains(eos, 0) || len(eos) == 0 {
			t.Errorf("%s: eos %v", c.name, eos)
		}
	}
}

// TestTemplates are forms that transformers has no answer to, or asks about.
func TestTemplates(t *testing.T) {
	const extra = templateDir + "/tool_use.jinja"
	for _, c := range []struct{ name, file, content, want, note string }{
		{"no default at all", extra, `t`, "t", `chat template "tool_use" is used: there is none named default`},
		{"old file", oldTemplateFile, `{"chat_template": "o"}`, "o", ""},
		{"old file with several", oldTemplateFile, `{"chat_template": {"rag": "r", "default": "d"}}`, "d", `chat template "default" is used; left out: rag (infer --chat-template FILE)`},
		{"no default", tokenizerConfig, `{"chat_template": {"tool_use": "t", "chat": "c", "rag": "r"}}`, "c", `chat template "chat" is used; left out: rag, tool_use (infer --chat-template FILE)`},
		{"special ones", tokenizerConfig, `{"chat_template": [{"name": "rag", "template": "r"}, {"name": "tool_use", "template": "t"}]}`, "r", `chat template "rag" is used; left out: tool_use (infer --chat-template FILE)`},
		{"empty list", tokenizerConfig, `{"chat_template": []}`, "", ""},
	} {
		dir := copyOf(t, "mistral")
		if err := os.MkdirAll(filepath.Join(dir, templateDir), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, c.file), []byte(c.content))
		open := mustOpen(t, dir)
		if open.ChatTemplate() != c.want {
			t.Errorf("%s: %q, want %q", c.name, open.ChatTemplate(), c.want)
		}
		if notes := strings.Join(open.Notes(), "\n"); notes != c.note {
			t.Errorf("%s: notes %q, want %q", c.name, notes, c.note)
		}
	}
}

// TestDefaultTemplate: a directory with templates for tools does not hide the default that another place has.
func TestDefaultTemplate(t *testing.T) {
	for _, file := range []string{tokenizerConfig, oldTemplateFile} {
		dir := copyOf(t, "mistral")
		if err := os.Mkdir(filepath.Join(dir, templateDir), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, templateDir, "tool_use.jinja"), []byte("t"))
		write(t, filepath.Join(dir, file), []byte(`{"chat_template": "d"}`))
		open := mustOpen(t, dir)
		if have := open.ChatTemplate(); have != "d" {
			t.Errorf("%s: %q", file, have)
		}
		if notes, want := strings.Join(open.Notes(), "\n"), `chat template "default" is used; left out: tool_use (infer --chat-template FILE)`; notes != want {
			t.Errorf("%s: notes %q", file, notes)
		}
	}
}

// FuzzSettings: whatever stands in the small files, tokens are those of the model, and special tokens are texts.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"bos_token": "<s>", "chat_template": [{"name": "a", "template": "b"}]}`), []byte(`{"eos_token": {"content": "</s>"}}`), []byte(`{"eos_token_id": [1, null, 96]}`), []byte(`{"added_tokens": [{"id": 1, "content": "<s>"}], "model": {"vocab": {"</s>": 2}}}`))
	f.Add([]byte(`{"extra_special_tokens": {"x": {"content": "y"}}, "pad_token": "p"}`), []byte(`[]`), []byte(`{"bos_token_id": 1e300}`), []byte(`{"padding": {"pad_token": "p"}, "model": {"vocab": [["p", 0.5], [], 7]}}`))
	config, err := parseConfig(read(f, configOf(configs+"mistral")))
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, settings, special, generation, tok []byte) {
		for name, data := range map[string][]byte{tokenizerConfig: settings, specialTokensMap: special, generationConfig: generation, "tokenizer.json": tok} {
			write(t, filepath.Join(dir, name), data)
		}
		c := &Checkpoint{dir: dir, config: config}
		c.readTokens()
		have := c.Tokens()
		for _, id := range append(have.EOS, have.BOS, have.Pad) {
			if id < NoToken || id >= config.spec.Vocab {
				t.Errorf("token %d", id)
			}
		}
	})
}

// encoded returns the ids of a text that every pattern can be matched against.
func encoded(ids []int32, err error) []int32 {
	if err != nil {
		panic(err)
	}
	return ids
}
