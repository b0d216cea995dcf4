package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// small is a tokenizer.json with a part of each kind, for changing.
const small = `{"version":"1.0","truncation":null,"padding":null,
"added_tokens":[{"id":3,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"}]},
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
 "pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[3],"tokens":["<s>"]}}},
"decoder":{"type":"Strip","content":" ","start":1,"stop":0},
"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`

func TestParseErrors(t *testing.T) {
	if _, err := Parse([]byte(small)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`{"version"`, `x{"version"`, "tokenizer:"},
		{`"1.0"`, `"2.0"`, `version "2.0"`},
		{`"truncation":null`, `"trumpet":null`, `"trumpet"`},
		{`"padding":null`, `"truncation":null`, `duplicate`},
		{`"single_word":false`, `"single_word":false,"bold":true`, `"bold"`},
		{`{"id":3`, `{"id":7`, `"<s>" has id 7, but its place is 3`},
		{`"content":"<s>"`, `"content":""`, "empty or there twice"},
		{`"content":"<s>"`, `"content":"a"`, `"a" has id 3, but its place is 0`},
		{`{"type":"NFC"}`, `{"type":"NFX"}`, `normalizer: 0: NFX: type "NFX" is not supported: want`},
		{`{"type":"NFC"}`, `{"type":"NFC","loud":1}`, `"loud"`},
		{`{"type":"NFC"}`, `null`, `normalizer: 0: is missing`},
		{`{"type":"NFC"}`, `{}`, `has no type`},
		{`{"type":"NFC"}`, `{"type":"Precompiled","precompiled_charsmap":"ALQC"}`, "precompiled_charsmap: 3 bytes: want at least 4"},
		{`{"type":"NFC"}`, `{"type":"Strip","strip_left":true}`, "missing strip_right"},
		{`{"type":"NFC"}`, `{"type":"Replace","pattern":{},"content":""}`, "want a String or a Regex"},
		{`{"type":"NFC"}`, `{"type":"Replace","pattern":{"Regex":"(a"},"content":""}`, `regex "(a"`},
		{`{"type":"NFC"}`, strings.Repeat(`{"type":"Sequence","normalizers":[`, 9) + strings.Repeat(`]}`, 9), "more than 8 nested Sequences"},
		{`{"type":"ByteLevel","add_prefix_space":false`, `{"type":"ByteLevel","add_prefix_spice":false`, "add_prefix_spice"},
		{`"add_prefix_space":false,"trim_offsets":true`, `"trim_offsets":true`, "missing add_prefix_space"},
		{`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}`, `{"type":"Magic"}`, `type "Magic" is not supported: want BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits`},
		{`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}`, `{"type":"Split","pattern":{"String":" "},"behavior":"isolated","invert":false}`, `behavior "isolated"`},
		{`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}`, `{"type":"Metaspace","replacement":"▁▁"}`, `replacement "▁▁"`},
		{`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}`, `{"type":"Metaspace","replacement":"▁","prepend_scheme":"last"}`, `prepend_scheme "last"`},
		{`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}`, `{"type":"Digits"}`, "missing individual_digits"},
		{`{"type":"TemplateProcessing"`, `{"type":"PairProcessing"`, `type "PairProcessing" is not supported`},
		{`{"Sequence":{"id":"A"`, `{"Sequence":{"id":"B"`, "want pieces SpecialToken or Sequence A"},
		{`,{"Sequence":{"id":"A","type_id":0}}`, ``, "has the text 0 times"},
		{`{"SpecialToken":{"id":"<s>"`, `{"SpecialToken":{"id":"<t>"`, `"<t>" is not among special_tokens`},
		{`"ids":[3]`, `"ids":[9]`, "id 9 is not in the vocabulary"},
		{`{"type":"Strip","content":" "`, `{"type":"Strip","content":""`, "want one character"},
		{`"start":1`, `"start":-1`, "start -1"},
		{`{"type":"Strip","content":" ","start":1,"stop":0}`, `{"type":"CTC"}`, `CTC: missing cleanup, pad_token, word_delimiter_token`},
		{`"type":"BPE"`, `"type":"Word"`, `model: type "Word" is not supported: want BPE, Unigram, WordLevel, WordPiece`},
		{`"type":"BPE"`, `"type":"BPE","dropout":1`, "dropout 1: want 0 or more and less than 1"},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"type":"WordPiece","unk_token":"?","vocab":{"a":0}}`, "missing continuing_subword_prefix, max_input_chars_per_word"},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"unk_token":"?","vocab":{"a":0}}`, `WordLevel: unk_token "?" is not in the vocabulary`},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"unk_token":"?"}`, "model: has neither a type nor a vocab"},
		{`"type":"BPE"`, `"type":"BPE","unk_token":"?"`, `unk_token "?" is not in the vocabulary`},
		{`"b":1`, `"b":0`, "have the same id 0"},
		{`"b":1`, `"b":-1`, `token "b" has id -1`},
		{`"b":1`, `"b":99999999`, `token "b" has id 99999999`},
		{`"a b"`, `"a b c"`, `merge "a b c"`},
		{`"a b"`, `["a"]`, "merges"},
		{`"a b"`, `["b","a"]`, `merge of "b" and "a"`},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `null`, "model: is missing"},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"type":"Unigram","vocab":[["a",0]]}`, "unk_id is missing"},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"type":"Unigram","unk_id":1,"vocab":[["a",0]]}`, "unk_id 1 is outside"},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"type":"Unigram","unk_id":0,"vocab":[["a",0],["a",1]]}`, `"a" is in the vocabulary twice`},
		{`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, `{"type":"Unigram","unk_id":0,"vocab":[["a"]]}`, "want a token and its score"},
	} {
		changed := strings.Replace(small, c.from, c.to, 1)
		if changed == small {
			t.Fatalf("%s is not in the file", c.from)
		}
		_, err := Parse([]byte(changed))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.to, err, c.want)
		}
	}
}

// TestHostileExpressions: what would take for ever is refused, and what is long does not overflow the stack.
func TestHostileExpressions(t *testing.T) {
	for _, expr := range []string{`(a+)+$`, `(\w*)*!`, `(?:[a-z]|[a-y])+!`, `(\s*\s*)*x`, `(x+x+)+y`, `(?:é|é)+b`, `^(([a-z])+.)+[A-Z]([a-z])+$`} {
		if _, err := compileRegex(expr); err == nil || !strings.Contains(err.Error(), "without end") || !strings.Contains(err.Error(), `regex "`) {
			t.Errorf("%s: %v", expr, err)
		}
	}
	find, err := compileRegex(`(?:a|b)+`)
	if err != nil {
		t.Fatal(err)
	}
	const most = maxRounds - 2
	if got := find(strings.Repeat("ab", most/2)); len(got) != 1 || got[0].to != most {
		t.Errorf("matches %v of %d characters", got, most)
	}
	err = func() (err error) {
		defer caught(&err)
		find(strings.Repeat("ab", maxRounds/2+1))
		return nil
	}()
	if err == nil || !strings.Contains(err.Error(), `regex "(?:a|b)+" repeats a group more than 500000 times`) {
		t.Errorf("a loop of more rounds than there may be: %v", err)
	}
	slow, err := compile(`(?:a|a)+\x21`) // which compileRegex refuses
	if err != nil {
		t.Fatal(err)
	}
	if slow.search([]rune(strings.Repeat("a", 60)), 1000, func(int, int) {}) {
		t.Error("a search without end ended")
	}
}

// TestTooMuchWork: an expression whose slow text Parse does not guess is an error of Encode, whatever step of the tokenizer
// it is in, and leaves decoded tokens as they are.
func TestTooMuchWork(t *testing.T) {
	const slow = `(?:[q-s]w|[p-r]w)+!!` // exponential on rwrwrw…, which is none of the trial texts
	split := `{"type":"Split","pattern":{"Regex":"` + slow + `"},"behavior":"Isolated","invert":false}`
	normalizer := `{"type":"Replace","pattern":{"Regex":"` + slow + `"},"content":""}`
	hostile := strings.Repeat("rw", 40)
	for _, c := range []struct{ from, to string }{
		{`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}`, split},
		{`{"type":"NFC"}`, normalizer},
	} {
		tok, err := Parse([]byte(strings.Replace(small, c.from, c.to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for _, encode := range []func() ([]int32, error){
			func() ([]int32, error) { return tok.Encode(hostile, true) }, func() ([]int32, error) { return tok.EncodeOrdinary(hostile) },
		} {
			if ids, err := encode(); err == nil || ids != nil || !strings.Contains(err.Error(), `regex "`+slow+`" backtracks without end on this text (80 characters)`) {
				t.Errorf("%s: %v, error %v", c.to, ids, err)
			}
		}
		if _, err := tok.Encode("ab", true); err != nil {
			t.Error(err)
		}
	}
	find, err := compileRegex(slow)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	(replace{find: find}).push(hostile, true, func(part string, _ bool) { got = part })
	if got != hostile {
		t.Errorf("decoded as %q", got)
	}
}

func TestMarkerErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"RobertaProcessing","sep":["a"]}`:                 "want a token and its id",
		`{"type":"RobertaProcessing","sep":["a",0],"cls":["a",2]}`: "",
		`{"type":"BertProcessing","sep":["a",0]}`:                  "BertProcessing: missing cls",
		`{"type":"Sequence","processors":[{"type":"BertProcessing","sep":["a",0],"cls":["a",0]},{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}]}]}`: "more than one that adds tokens",
	} {
		_, err := parsePost([]byte(text), 0)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := t.TempDir() + "/t.json"
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(`{"version":"1.0"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+": model: is missing") {
		t.Error(err)
	}
}

func TestRegexErrors(t *testing.T) {
	for expr, want := range map[string]string{
		`\p{Foo}`:    `\p{Foo} is not supported`,
		`\pL`:        `want a name in braces`,
		`[[:alfa:]]`: `[:alfa:] is not supported`,
		`[a[b]`:      `a [ is not closed`,
		`[a&&[]]`:    `a class is empty`,
		`(?i)[a&&b]`: `is not supported where case does not count`,
		`[]`:         `a class is empty`,
		`[a`:         `a [ is not closed`,
		`[z-a]`:      `range z-a is empty`,
		`\K`:         `\K is not supported`,
		`\G`:         `\G is not supported`,
		`\xFF`:       `want up to 7F`,
		`(a`:         `a ( is not closed`,
		`a)`:         `a ) closes nothing`,
		`*a`:         `repeats nothing`,
		`(?x: a)`:    `group (?x: is not supported`,
		`a(?i)b`:     `supported at the start only`,
		`(?<1>a)`:    `is not supported`,
		`(?#a`:       `a comment is not closed`,
		`a{2000}`:    `more than 1000 times`,
		`\`:          `escapes nothing`,
		`(a)\2`:      `no such group comes before it`,
		strings.Repeat("(", 501) + strings.Repeat(")", 501): "more than 500 deep",
		"a" + strings.Repeat("{2}", 51):                     "more than 50 quantifiers in a row",
		strings.Repeat("^", 70_000):                         "an expression of 70000 characters: want at most 65536",
		strings.Repeat("[", 22) + "a":                       "more than 20 deep",
	} {
		if _, err := compileRegex(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", expr, err, want)
		}
	}
}

// TestRegexCorners: sets that are empty, and a - that is no range.
func TestRegexCorners(t *testing.T) {
	for _, c := range []struct {
		expr, text string
		want       []span
	}{
		{`\P{Any}`, "ab", nil},
		{`a\P{Any}|b`, "ab", []span{{1, 2}}},
		{`[a&&b]|b`, "ab", []span{{1, 2}}},
		{`[!-&&!-]+`, "a!-&", []span{{1, 3}}},
		{`[\uD800-\uDFFF]`, "\uFFFD", nil},
	} {
		find, err := compileRegex(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
		} else if got := find(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s in %q: %v, want %v", c.expr, c.text, got, c.want)
		}
	}
}

// TestMergesAsStrings: the older spelling of merges gives the same tokenizer.
func TestMergesAsStrings(t *testing.T) {
	data, err := os.ReadFile("testdata/families/llama3.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	model := file["model"].(map[string]any)
	lines := []string{"#version: 0.2"}
	for _, m := range model["merges"].([]any) {
		lines = append(lines, m.([]any)[0].(string)+" "+m.([]any)[1].(string))
	}
	model["merges"] = lines
	data, err = json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	text := readText(t)
	if hashIDs(encoded(tok.Encode(text, true))) != hashIDs(encoded(family(t, "llama3").Encode(text, true))) {
		t.Error("merges as strings give other ids")
	}
}
