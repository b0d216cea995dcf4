package kernels

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of unrolling: rounds of one loop, and bytes of a kernel.
const maxRounds, maxSource = 256, 1 << 20

const unrollMark = "// unroll"

// Unrolled returns k with its marked loops unrolled: faster on a GPU, because arrays stay in
// registers, and slower to compile.
func (k Kernel) Unrolled() (Kernel, error) {
	src, err := unroll(k.Source)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", k.Key, err)
	}
	k.Source = src
	k.Key += "/unrolled"
	return k, nil
}

// unroll unrolls the marked loops: `for (var i = 0u; i < N; i++) { … } // unroll`, the mark at the
// end of the loop's first line. Compilers decide for themselves which loops they unroll, and an array that is
// indexed in a loop that stays is in memory, not in registers.
func unroll(source string) (string, error) {
	ev := newEvaluator(blankComments(source))
	for {
		mark := strings.LastIndex(source, unrollMark) // inner loops before outer ones
		if mark < 0 {
			return source, nil
		}
		line := strings.LastIndexByte(source[:mark], '\n') + 1
		source = source[:mark] + strings.Repeat(" ", len(unrollMark)) + source[mark+len(unrollMark):]
		l, err := loopAt(ev, blankComments(source), line)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", 1+strings.Count(source[:mark], "\n"), err)
		}
		if int64(len(source))+l.rounds*int64(l.end-l.from) > maxSource {
			return "", fmt.Errorf("line %d: unrolled, the kernel would be larger than %d bytes", 1+strings.Count(source[:mark], "\n"), maxSource)
		}
		var b strings.Builder
		b.WriteString(source[:l.from])
		for i := range l.rounds {
			b.WriteString(replaceWord(source[l.body:l.end], l.name, strconv.FormatInt(i, 10)+"u"))
			b.WriteByte('\n')
		}
		b.WriteString(source[l.end:])
		source = b.String()
	}
}

// loop is `for (var name = 0u; name < rounds; name++) {…}` at source[from:end], its block at source[body:end].
type loop struct {
	name            string
	rounds          int64
	from, body, end int
}

// loopAt reads the loop at the start of src[line:], which has no comments.
func loopAt(ev *evaluator, src string, line int) (loop, error) {
	var l loop
	s := scan(src[line:])
	s.rest = strings.TrimLeft(s.rest, space)
	l.from = len(src) - len(s.rest)
	s.is("for", "(", "var")
	l.name = s.name()
	s.is("=", "0u", ";")
	again := s.name()
	s.is("<")
	limit := s.until(';')
	third := s.name()
	s.is("++", ")")
	s.rest = strings.TrimLeft(s.rest, space)
	l.body = len(src) - len(s.rest)
	if s.is("{"); !s.ok || again != l.name || third != l.name {
		return l, fmt.Errorf("only loops `for (var i = 0u; i < N; i++) {` are unrolled")
	}
	var err error
	if l.rounds, err = ev.eval(limit); err != nil || l.rounds < 1 || l.rounds > maxRounds {
		return l, fmt.Errorf("a loop of %s rounds: want a constant from 1 to %d", strings.TrimSpace(limit), maxRounds)
	}
	for depth := 0; ; l.end++ {
		if l.end = max(l.end, l.body); l.end == len(src) {
			return l, fmt.Errorf("the loop does not end")
		}
		switch src[l.end] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			l.end++
			return l, nil
		}
	}
}

// replaceWord replaces name wherever it is a whole word.
func replaceWord(src, name, by string) string {
	var b strings.Builder
	at := 0
	for _, i := range words(src, name) {
		b.WriteString(src[at:i])
		b.WriteString(by)
		at = i + len(name)
	}
	b.WriteString(src[at:])
	return b.String()
}
