package grammar

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// takenBy reports which of some texts a pattern takes.
func takenBy(t *testing.T, source string, v *Vocabulary, texts []string) []bool {
	t.Helper()
	e, err := pattern(source)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	c, err := New(ofExpr(inQuotes(e)), v)
	if err != nil {
		t.Fatalf("%q: %v", source, err)
	}
	taken := make([]bool, len(texts))
	for i, text := range texts {
		written, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		taken[i] = takes(t, c, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u2028`, "\u2028").Replace(string(written)))
	}
	return taken
}

// TestPatterns compares patterns with what Go's regular expressions match.
func TestPatterns(t *testing.T) {
	v := bytesVocabulary()
	texts := []string{"", "a", "b", "ab", "ba", "aab", "abc", "xaby", "A", "aB", "é", "É", "ſ", "K", "k", "日本", "a\nb", "\n", "\t", "\f", "\b", "a b", "-", "]", "^", "\\", "{", "a{", "a{1", "aa", "aaa", "7", "٣", "_", ".", "\u2028", "\U0001F600", "Σ", "ς", "<&>", `"`, "\x01", "/"}
	for _, source := range []string{
		"", "a", "ab|b", "^a", "a$", "^a$", "^ab|ba$", "^(a|b)$", "(^a$)", "((^ab$))", "^^a$$", "a*", "^a*$", "^a+b?$", "^a{2}$", "^a{1,2}b$", "^a{2,}$", "^a*?b+?$", "^(ab){0,2}$",
		"^[a-c]+$", "^[^a-c]$", "^[\\]a]$", "^[a-]$", "^[-a]$", `^[\]\\^]$`, "^[^\\]]$", `^\d$`, `^\D$`, `^\w+$`, `^\W$`, `^\s$`, `^\S+$`, `^[\d\s_]$`, `^[\w-]$`, `^[^\W\d]$`, "^.$", "^(?s).$", "^(?s:.)$", "^(?i)ab$",
		"^(?i:k)$", "^(?i)[a-z]$", "^(?i)σ$", "^(?i:a)b$", "^((?i)a)b$", "^(?i)a|B$", "^(?i)a(?-i)b$", "(?i)^ab$", "(?i)^a$|^B$", "(?i)(^a$)", "()^a$()", `(?i)^\W$`, `(?i)^[^\W]$`, `(?i)^\P{Lu}$`, `(?i)^\D$`, "^(?:a|b)+$", "^(?P<x>a)(?<y>b)$", `^\p{L}$`, `^\pL+$`, `^\P{L}$`, `^\p{Lu}$`, `^[\p{Nd}_]$`, `^\p{^L}$`, `^\p{Greek}$`, `^\p{Han}+$`,
		`^\x41$`, `^\x{1F600}$`, `^\t$`, `^\n$`, `^\f$`, `^\.$`, `^\/$`, `^\-$`, `^a\{$`, "^a{$", "^a{1$", "a||b", "^(|a)$", "^()a$", "^[^\\x00-\\x7f]$", `^[\t\n\f]$`, "^a.b$", "é|日", "^[é日]+$",
	} {
		oracle, err := regexp.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range takenBy(t, source, v, texts) {
			want := oracle.MatchString(texts[i])
			if strings.Contains(source, ".") && !strings.Contains(source, "?s") && !strings.Contains(source, `\.`) && texts[i] == "\u2028" {
				want = false // a line's end in JavaScript
			}
			if strings.Contains(source, `\S`) && texts[i] == "\u2028" {
				want = false // a space in JavaScript
			}
			if got != want {
				t.Errorf("%q takes %q: %t, want %t", source, texts[i], got, want)
			}
		}
	}
}

// TestFromPattern takes texts that a regular expression matches as a whole.
func TestFromPattern(t *testing.T) {
	for source, texts := range map[string]map[string]bool{
		"yes|no":   {"yes": true, "no": true, "yess": false, "ye": false, "": false},
		"^yes|no$": {"yes": true, "no": true, "yes!": false},
		`"\d{2}
`: {"\"\\d": false},
		`"[0-9]{2}
?é`: {"\"12\né": true, "\"12é": true, "12é": false, "\"1é": false},
	} {
		g, err := FromPattern(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		c, err := New(g, bytesVocabulary())
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		for text, want := range texts {
			if got := takes(t, c, text); got != want {
				t.Errorf("%s takes %q: %t, want %t", source, text, got, want)
			}
		}
	}
	for _, source := range []string{"(", "a)|(b", `\bx`} {
		if _, err := FromPattern(source); err == nil {
			t.Errorf("%s: no error", source)
		}
	}
}

// TestPatternsOfJavaScript has what Go's regular expressions do not.
func TestPatternsOfJavaScript(t *testing.T) {
	v := bytesVocabulary()
	for source, want := range map[string]string{
		`^\u00e9$`: "é", `^\ud83d\ude00$`: "\U0001F600", `^\u{1F600}$`: "\U0001F600", `^\cJ$`: "\n", `^[\b]$`: "\b", `^\v$`: "\v", `^\0$`: "\x00", `^\p{Script=Greek}$`: "Σ", `^\p{Uppercase_Letter}$`: "É", `^[\u0041-\u0043]$`: "B",
	} {
		if got := takenBy(t, source, v, []string{want, "x"}); !got[0] || got[1] {
			t.Errorf("%q takes %q: %t, x: %t", source, want, got[0], got[1])
		}
	}
}

// TestPatternsLeaveOut has what no validator may find outside of a class: JavaScript's spaces are more than those that \s makes.
func TestPatternsLeaveOut(t *testing.T) {
	v := bytesVocabulary()
	texts := []string{" ", "\n", "\v", "\u00a0", "\u2028", "\u3000", "\ufeff", "a"}
	for source, want := range map[string]string{
		`^\s$`: "01", `^\S$`: "7", `^[^\s]$`: "7", `^[^\S]$`: "01", `^[\S]$`: "7", `^.$`: "023567",
	} {
		got := ""
		for i, taken := range takenBy(t, source, v, texts) {
			if taken {
				got += strconv.Itoa(i)
			}
		}
		if got != want {
			t.Errorf("%q takes %s of %q, want %s", source, got, texts, want)
		}
	}
}

// TestPatternGrows gives up early on a pattern whose automaton doubles with each repetition.
func TestPatternGrows(t *testing.T) {
	v := bytesVocabulary()
	for source, want := range map[string]string{"a[ab]{30}b": "begin a pattern with ^", "^a[ab]{30}b": "", "a[ab]{12}b": ""} {
		e, err := pattern(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = New(ofExpr(inQuotes(e)), v); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
}

func TestPatternMistakes(t *testing.T) {
	for source, want := range map[string]string{
		"(a": "not closed", "a)": "closes nothing", "[a": "not closed", "[b-a]": "before its beginning", "*a": "repeats nothing", "a**": "put it into a group", "a{2}{3}": "put it into a group", "a{2,1}": "m ≤ n", "a{1001}": "m ≤ n",
		"((a{100}){100}){100}": "more than 1000 times", `\1`: "back references", `(?=a)`: "ahead or behind", "(?<!a)": "ahead or behind", "(?m)a": "flag m", `\q`: `\q is not supported`, `a\`: "last backslash", `\p{Klingon}`: "write ranges", `\p{L`: "not closed",
		`\x4`: "not complete", `\u{110000}`: "not the number of a character", "a^b": "^ in the middle", `a\bc`: `\b in the middle`, strings.Repeat("(", 300): "groups in groups", strings.Repeat("a", 1<<17): "at most",
		strings.Repeat(`(?i)[^x]\W`, 1000): "too many characters", "[]a]": `write \]`, "[^]": `write \]`, "{2}a": "repeats nothing", "a|{2,}": "repeats nothing", `\01`: "write", `^\u{41`: "not closed", `[\u{41`: "not closed",
		`\p{Foo=Greek}`: "not supported", `\p{scx=Greek}`: "not supported", `[\ud800-\udbff][\udc00-\udfff]`: "surrogate pair",
	} {
		if _, err := pattern(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", source, err, want)
		}
	}
}

// TestRandomPatterns compares patterns that are made up with Go's regular expressions.
func TestRandomPatterns(t *testing.T) {
	v, rng := bytesVocabulary(), rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	var part func(depth int) string
	part = func(depth int) string {
		one := pick("a", "b", ".", "[ab]", "[^a]", `\w`, `\d`, "é")
		if depth > 0 && rng.IntN(3) == 0 {
			one = pick("(", "(?:", "(?i:") + part(depth-1) + pick("", "|") + part(depth-1) + ")"
		}
		return one + pick("", "", "*", "+?", "?", "{2}", "{1,2}")
	}
	var texts []string
	for range 60 {
		text := ""
		for range rng.IntN(5) {
			text += pick("a", "b", "A", "é", "1", "-")
		}
		texts = append(texts, text)
	}
	taken := 0
	for range 200 {
		source := pick("", "^") + part(2) + part(2) + pick("", "$")
		oracle, err := regexp.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range takenBy(t, source, v, texts) {
			if want := oracle.MatchString(texts[i]); got != want {
				t.Fatalf("%q takes %q: %t, want %t", source, texts[i], got, want)
			}
			if got {
				taken++
			}
		}
	}
	if taken < 1000 || taken > 11000 {
		t.Errorf("%d of 12000 texts are taken: this compares little", taken)
	}
}

func FuzzPattern(f *testing.F) {
	for _, source := range []string{"^a+(b|c){2,3}$", `[^\w-]\p{L}`, `(?i:a)\u00e9`, "a{", "(?<x>.)"} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if e, err := pattern(source); (e == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", source, e, err)
		}
	})
}
