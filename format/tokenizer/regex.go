package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/rangetable"
)

// translate rewrites an expression of Oniguruma's Ruby syntax, which tokenizer.json has, for compile, in the syntax of
// .NET (and of regexp2, which tests compare with). What has the same spelling and another meaning is respelled; what is not known to
// mean the same is an error. One difference stays: with (?i) Oniguruma also takes ß for ss and
// ﬁ for fi, while here characters only match characters. No known tokenizer depends on it.
func translate(expr string) (string, error) {
	t := translator{in: []rune(expr)}
	for t.at < len(t.in) {
		if err := t.next(); err != nil {
			return "", fmt.Errorf("at %d: %w", t.at, err)
		}
	}
	if len(t.groups) > 0 {
		return "", errors.New("a ( is not closed")
	}
	return string(t.out), nil
}

// groupName returns what follows the ( of a group with a name, up to where its content begins; "" if it has none.
func groupName(rest string) string {
	name, ok := strings.CutPrefix(rest, "?<")
	if !ok {
		return ""
	}
	name, _, ok = strings.Cut(name, ">")
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return ""
		}
	}
	if !ok || name == "" {
		return ""
	}
	return "?<" + name + ">"
}

type translator struct {
	in     []rune
	at     int // what is read
	out    []rune
	atom   int    // where in out starts what a quantifier would repeat; -1: nothing does
	groups []int  // where in out the open groups start
	folds  []bool // whether case counted in them, outside of what flags changed there
	fold   bool   // case does not count
}

func (t *translator) rest() string { return string(t.in[t.at:]) }

func (t *translator) emit(s string) { t.out = append(t.out, []rune(s)...) }

// next translates one element.
func (t *translator) next() error {
	c := t.in[t.at]
	if strings.ContainsRune("*+?{", c) {
		return t.quantifier()
	}
	start := len(t.out)
	t.at++
	switch c {
	case '\\':
		t.atom = start
		return t.escape()
	case '[':
		t.atom = start
		return t.class()
	case '(':
		t.groups, t.folds = append(t.groups, start), append(t.folds, t.fold)
		t.atom = -1
		return t.open()
	case ')':
		if len(t.groups) == 0 {
			return errors.New("a ) closes nothing")
		}
		t.atom = t.groups[len(t.groups)-1]
		t.fold = t.folds[len(t.groups)-1]
		t.groups, t.folds = t.groups[:len(t.groups)-1], t.folds[:len(t.groups)-1]
		t.emit(")")
		return nil
	case '|':
		t.atom = -1
		t.emit("|")
		return nil
	case '^':
		t.emit(`(?:^(?!\z))`) // not behind a newline at the very end
	case '.', '$':
		t.out = append(t.out, c)
	default:
		t.emit(quote(c))
	}
	t.atom = start
	return nil
}

// open translates what follows the ( of a group.
func (t *translator) open() error {
	rest := t.rest()
	if !strings.HasPrefix(rest, "?") {
		t.emit("(")
		return nil
	}
	if name := groupName(rest); name != "" { // its name is for the references that we do not know
		t.emit("(?:")
		t.at += len([]rune(name))
		return nil
	}
	if strings.HasPrefix(rest, "?#") { // a comment
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return errors.New("a comment is not closed")
		}
		t.emit("(?:)")
		t.at += len([]rune(rest[:end+1]))
		t.groups, t.folds = t.groups[:len(t.groups)-1], t.folds[:len(t.groups)-1]
		return nil
	}
	for _, same := range []string{"?:", "?=", "?!", "?<=", "?<!", "?>"} {
		if strings.HasPrefix(rest, same) {
			t.emit("(" + same)
			t.at += len(same)
			return nil
		}
	}
	end := strings.IndexAny(rest, ":)>")
	if end < 0 {
		return errors.New("a group is not understood")
	}
	flags := rest[1:end]
	if strings.Trim(flags, "im-") != "" {
		return fmt.Errorf("group (%s is not supported", rest[:end+1])
	}
	if rest[end] == '>' || rest[end] == ')' && len(t.out) > 0 {
		return fmt.Errorf("group (%s is supported at the start only", rest[:end+1])
	}
	t.emit("(?" + strings.ReplaceAll(flags, "m", "s") + rest[end:end+1]) // m: . is a newline, too
	t.at += end + 1
	on, off, _ := strings.Cut(flags, "-")
	t.fold = (t.fold || strings.Contains(on, "i")) && !strings.Contains(off, "i")
	if rest[end] == ')' { // for all that follows: flags alone stand at the start only
		t.groups, t.folds = t.groups[:len(t.groups)-1], t.folds[:len(t.groups)-1]
	}
	return nil
}

// quantifier translates * + ? and {}, with the ? or + behind it.
func (t *translator) quantifier() error {
	c := t.in[t.at]
	low, high, n, err := interval(t.rest())
	if err != nil {
		return err
	}
	if c == '{' && n == 0 { // not an interval, so it is a character
		t.atom = len(t.out)
		t.emit(quote(c))
		t.at++
		return nil
	}
	if t.atom < 0 || t.atom == len(t.out) {
		return fmt.Errorf("%c repeats nothing", c)
	}
	atom := t.atom
	if c != '{' {
		t.at++
		t.out = append(t.out, c)
		if t.at < len(t.in) && (t.in[t.at] == '?' || t.in[t.at] == '+') {
			t.out = append(t.out, t.in[t.at])
			t.at++
		}
		t.wrap(atom)
		return nil
	}
	t.at += n
	t.emit("{" + low)
	if low != high {
		t.emit("," + high)
	}
	t.emit("}")
	if t.at < len(t.in) && t.in[t.at] == '?' && low != high {
		t.emit("?")
		t.at++
	}
	// Behind an interval + is not possessive, and behind {n} ? is not lazy: they repeat it.
	t.wrap(atom)
	return nil
}

// wrap makes a group of what starts at atom in out, so that a further quantifier repeats it.
func (t *translator) wrap(atom int) {
	if t.at < len(t.in) && strings.ContainsRune("*+?{", t.in[t.at]) {
		t.out = append(t.out[:atom], []rune("(?:"+string(t.out[atom:])+")")...)
	}
	t.atom = atom
}

// interval reads {n}, {n,}, {,m} or {n,m} at the start of s and returns its length, 0 if s
// starts with none.
func interval(s string) (low, high string, n int, err error) {
	end := strings.IndexByte(s, '}')
	if s[0] != '{' || end < 0 {
		return "", "", 0, nil
	}
	low, high, comma := strings.Cut(s[1:end], ",")
	if !comma {
		high = low
	}
	if strings.Trim(low+high, "0123456789") != "" || low+high == "" {
		return "", "", 0, nil
	}
	if low == "" {
		low = "0"
	}
	for _, v := range []string{low, high} {
		if i, err := strconv.Atoi(v); v != "" && (err != nil || i > 1000) {
			return "", "", 0, fmt.Errorf("%s repeats more than 1000 times", s[:end+1])
		}
	}
	return low, high, end + 1, nil
}

// escape translates what follows a backslash outside of a class.
func (t *translator) escape() error {
	if t.at == len(t.in) {
		return errors.New("a backslash escapes nothing")
	}
	if set, ok, err := t.named(regexWord); ok || err != nil {
		t.emit(set.outside())
		return err
	}
	c := t.in[t.at]
	switch c {
	case 'b', 'B':
		w := setOf(regexWord(), false).outside()
		in, out := "(?<="+w+")", "(?<!"+w+")"
		then, not := "(?="+w+")", "(?!"+w+")"
		if c == 'B' {
			then, not = not, then
		}
		t.emit("(?:" + in + not + "|" + out + then + ")")
	case 'R':
		t.emit(`(?>\x0D\x0A|[\x0A-\x0D` + "\u0085\u2028\u2029])")
	case 'X':
		t.emit(`\X`)
	case 'O':
		t.emit(`[\s\S]`)
	case 'N':
		t.emit(`[^\x0A]`)
	case 'A', 'z', 'Z', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		t.out = append(t.out, '\\', c)
	default:
		r, err := t.char()
		if err != nil {
			return err
		}
		t.emit(quote(r))
		return nil
	}
	t.at++
	return nil
}

var controls = map[rune]rune{'n': '\n', 'r': '\r', 't': '\t', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1B}

// char reads an escape that stands for one character.
func (t *translator) char() (rune, error) {
	c := t.in[t.at]
	t.at++
	if r, ok := controls[c]; ok {
		return r, nil
	}
	switch {
	case c == 'x' && strings.HasPrefix(t.rest(), "{"):
		digits, _, ok := strings.Cut(t.rest()[1:], "}")
		t.at += len(digits) + 2
		r, err := strconv.ParseUint(digits, 16, 32)
		if !ok || err != nil || r > unicode.MaxRune {
			return 0, fmt.Errorf(`\x{%s: want a character`, digits)
		}
		return rune(r), nil
	case c == 'x':
		return t.hex(2, 0x7F)
	case c == 'u':
		return t.hex(4, 0xFFFF)
	case c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)):
		return 0, fmt.Errorf(`\%c is not supported`, c)
	}
	return c, nil
}

// hex reads n hexadecimal digits.
func (t *translator) hex(n int, limit rune) (rune, error) {
	if len(t.in)-t.at < n {
		return 0, errors.New("hexadecimal digits are missing")
	}
	digits := string(t.in[t.at : t.at+n])
	r, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || rune(r) > limit {
		return 0, fmt.Errorf("hexadecimal %q: want up to %X", digits, limit)
	}
	t.at += n
	return rune(r), nil
}

// class translates what follows the [ of a class.
func (t *translator) class() error {
	start, out := t.at, len(t.out)
	err := t.plainClass()
	if !errors.Is(err, errNotPlain) {
		return err
	}
	if t.fold {
		return errors.New("a class in a class, or with &&, is not supported where case does not count")
	}
	t.at, t.out = start, t.out[:out]
	pairs, err := t.set(0)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		t.emit("(?!)")
		return nil
	}
	t.emit("[" + spell(pairs) + "]")
	return nil
}

// errNotPlain says that a class has classes in it, an intersection, or a name in [: :].
var errNotPlain = errors.New("the class is not plain")

func (t *translator) plainClass() error {
	t.emit("[")
	if strings.HasPrefix(t.rest(), "^") {
		t.emit("^")
		t.at++
	}
	empty := true
	for ; ; empty = false {
		rest := t.rest()
		switch {
		case rest == "":
			return errors.New("a [ is not closed")
		case rest[0] == ']' && empty:
			return errors.New("a class is empty")
		case rest[0] == ']':
			t.at++
			t.emit("]")
			return nil
		case rest[0] == '[' || strings.HasPrefix(rest, "&&"):
			return errNotPlain
		}
		if err := t.member(); err != nil {
			return err
		}
	}
}

// member translates a character, a range or an escaped set in a class.
func (t *translator) member() error {
	if t.in[t.at] == '\\' && t.at+1 < len(t.in) {
		t.at++
		set, ok, err := t.named(classWord)
		if ok || err != nil {
			t.emit(set.inside())
			return err
		}
		t.at--
	}
	low, err := t.classChar()
	if err != nil {
		return err
	}
	t.emit(quote(low))
	rest := t.rest()
	if !strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "-]") {
		return nil
	}
	if strings.HasPrefix(rest, `-[`) {
		return errNotPlain
	}
	t.at++
	high, err := t.classChar()
	if err != nil {
		return err
	}
	if high < low {
		return fmt.Errorf("range %c-%c is empty", low, high)
	}
	t.emit("-" + quote(high))
	return nil
}

// classChar reads one character of a class.
func (t *translator) classChar() (rune, error) {
	if t.at == len(t.in) {
		return 0, errors.New("a [ is not closed")
	}
	c := t.in[t.at]
	t.at++
	if c != '\\' {
		return c, nil
	}
	if t.at == len(t.in) {
		return 0, errors.New("a backslash escapes nothing")
	}
	if t.in[t.at] == 'b' {
		t.at++
		return '\b', nil
	}
	return t.char()
}

// charSet is a set that has a name in regexp2 but for some characters more, or that is spelled
// out as pairs of the first and the last of ranges.
type charSet struct {
	name  string
	pairs []rune
}

func (s charSet) inside() string { return s.name + spell(s.pairs) }

func (s charSet) outside() string {
	if len(s.pairs) == 0 {
		return s.name
	}
	return "[" + s.inside() + "]"
}

func spell(pairs []rune) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		low, high := pairs[i], pairs[i+1]
		if low >= 0xD800 && low <= 0xDFFF { // surrogates are in no text and cannot be spelled
			low = 0xE000
		}
		if high >= 0xD800 && high <= 0xDFFF {
			high = 0xD7FF
		}
		if low < high {
			b.WriteString(quote(low) + "-" + quote(high))
		} else if low == high {
			b.WriteString(quote(low))
		}
	}
	return b.String()
}

func setOf(pairs []rune, negate bool) charSet {
	if negate {
		pairs = complement(pairs)
	}
	return charSet{pairs: pairs}
}

// What \w matches: Oniguruma takes ² ³ ¹ ¼ ½ ¾ for word characters, but not within [ ].
var (
	regexWord = sync.OnceValue(func() []rune { return regexWordDifference.ranges(rangetable.Merge(wordTables...)) })
	classWord = sync.OnceValue(func() []rune { return classWordDifference.ranges(rangetable.Merge(wordTables...)) })
)

// named reads the escape of a set, if there is one: \d \w \s \h, \p{…} and their negations.
// The set that \w stands for is word.
func (t *translator) named(word func() []rune) (s charSet, ok bool, err error) {
	c := t.in[t.at]
	negate := unicode.IsUpper(c)
	switch unicode.ToLower(c) {
	case 's':
		s = charSet{name: `\` + string(c)}
	case 'd':
		s, err = property("Nd", negate)
	case 'w':
		s = setOf(word(), negate)
	case 'h':
		s = setOf([]rune{'0', '9', 'A', 'F', 'a', 'f'}, negate)
	case 'p':
		name, _, found := strings.Cut(strings.TrimPrefix(string(t.in[t.at+1:]), "{"), "}")
		if !found || t.in[t.at+1] != '{' {
			return s, false, fmt.Errorf(`\%c: want a name in braces`, c)
		}
		t.at += len([]rune(name)) + 2
		bare := strings.TrimPrefix(name, "^")
		s, err = property(bare, negate != (bare != name))
	default:
		return s, false, nil
	}
	t.at++
	return s, true, err
}

// property returns a general category, a script, or another set that has a name.
func property(name string, negate bool) (charSet, error) {
	key := squeezed(name)
	if pairs, ok := derivedSet(key); ok {
		return setOf(pairs, negate), nil
	}
	plain, d, ok := propertyNamed(key)
	if !ok {
		return charSet{}, fmt.Errorf(`\p{%s} is not supported`, name)
	}
	if len(d.add)+len(d.drop) == 0 {
		return charSet{name: map[bool]string{false: `\p{`, true: `\P{`}[negate] + plain + "}"}, nil
	}
	if !negate && len(d.drop) == 0 {
		return charSet{name: `\p{` + plain + "}", pairs: d.add}, nil
	}
	return setOf(d.ranges(tableOf(plain)), negate), nil
}

// ranges spells a set out.
func (s charSet) ranges() []rune {
	if s.name == "" {
		return s.pairs
	}
	table, negate := unicode.White_Space, s.name == `\S`
	if len(s.name) > 3 {
		table, negate = tableOf(strings.TrimSuffix(s.name[3:], "}")), s.name[1] == 'P'
	}
	pairs := difference{}.ranges(table)
	if negate {
		pairs = complement(pairs)
	}
	return union(pairs, s.pairs)
}

// quote spells a character that means itself, in a class or not.
func quote(r rune) string {
	if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return fmt.Sprintf(`\x%02X`, r)
	}
	return string(r)
}
