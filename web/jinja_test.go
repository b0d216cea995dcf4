package web_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// rendering is a line of jinja.mjs: a rendering that differs from jinja2's.
type rendering struct {
	Template, Extra, Chat string
	Want, Got             json.RawMessage // a text, or {error}
	Count                 int             // of all renderings, in the last line
}

// failed reports whether a value is {error}.
func (r rendering) failed(v json.RawMessage) bool { return bytes.HasPrefix(v, []byte("{")) }

// jinjaDiffers lists what the Jinja library of the package does otherwise than jinja2. Each of them must occur:
// an entry that a newer version of the library no longer needs is to be removed.
var jinjaDiffers = []struct {
	what string
	is   func(rendering) bool
}{
	{"the first of no messages is undefined, where jinja2 fails", func(r rendering) bool {
		return r.Chat == "none" && r.failed(r.Want)
	}},
	{"it refuses text times a number, the filter format, and calls of what is undefined within a macro", func(r rendering) bool {
		return r.Template == "macros" && r.failed(r.Got)
	}},
	{"it refuses the filter string for mappings, such as tools", func(r rendering) bool {
		return r.Template == "smollm3" && r.Extra == "tools" && r.failed(r.Got)
	}},
	{`lstrip("\n") strips all white space`, func(r rendering) bool {
		return r.Template == "smollm3" && r.Chat == "space"
	}},
}

// TestJinja holds what the package's Jinja library renders to jinja2, as the tests of format/tokenizer/chat hold
// that of the command.
func TestJinja(t *testing.T) {
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	_, err = os.Stat("dist/jinja.js")
	require(t, err == nil, "dist/jinja.js is missing: make page")
	out, err := exec.Command(node, "test/jinja.mjs").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen, count := make([]int, len(jinjaDiffers)), 0
	for line := range bytes.Lines(out) {
		var r rendering
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Count > 0 {
			count = r.Count
			continue
		}
		known := false
		for i, d := range jinjaDiffers {
			if !known && d.is(r) {
				known = true
				seen[i]++
			}
		}
		if !known {
			t.Errorf("%s, %s, %s: got %s, want %s", r.Template, r.Extra, r.Chat, r.Got, r.Want)
		}
	}
	if count < 600 {
		t.Errorf("%d renderings were compared", count)
	}
	for i, d := range jinjaDiffers {
		t.Logf("%d of %d: %s", seen[i], count, d.what)
		if seen[i] == 0 {
			t.Errorf("never seen: %s", d.what)
		}
	}
}

// TestThirdParty compares other people's code in the repository with what npm has under the pinned versions.
func TestThirdParty(t *testing.T) {
	highlight, err := filepath.Glob("third_party/highlight.js/lib/languages/*.js")
	if err != nil || len(highlight) < 20 {
		t.Fatalf("highlight.js has %d languages: %v", len(highlight), err)
	}
	same := map[string]string{"lib/core.js": "lib/core.js"}
	for _, name := range highlight {
		name = "lib/languages/" + filepath.Base(name)
		same[name] = name
	}
	for _, lib := range []struct {
		ours, theirs string
		scripts      map[string]string // there, by their names here
	}{
		{"third_party/huggingface-jinja", "node_modules/@huggingface/jinja", map[string]string{"index.js": "dist/index.js"}},
		{"third_party/marked", "node_modules/marked", map[string]string{"marked.esm.js": "lib/marked.esm.js"}},
		{"third_party/highlight.js", "node_modules/highlight.js", same},
		{"third_party/temml", "node_modules/temml", map[string]string{"temml.min.js": "dist/temml.min.js"}},
	} {
		_, err := os.Stat(lib.theirs)
		require(t, err == nil, lib.theirs+" is missing: npm ci")
		lib.scripts["LICENSE"], lib.scripts["package.json"] = "LICENSE", "package.json"
		for name, from := range lib.scripts {
			got, err := os.ReadFile(filepath.Join(lib.ours, name))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(lib.theirs, from))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s/%s is not what npm has as %s: copy it from %s", lib.ours, name, from, lib.theirs)
			}
		}
	}
}
