package tokenizer

import "sync"

// compile makes an expression of what a regular expression of tokenizer.json says.
func compile(expr string) (*expression, error) {
	r, err := parseRegex(expr)
	if err != nil {
		return nil, err
	}
	b := builder{captures: r.refers}
	x := &expression{start: b.build(r.root, accept), loops: b.loops}
	if r.refers {
		x.groups = r.groups + 1
	}
	return x, nil
}

// builder makes matchers of terms.
type builder struct {
	loops    int  // made so far
	captures bool // something refers to what groups match
}

// build makes a matcher of t, and of what comes next.
func (b *builder) build(t *term, next matcher) matcher {
	switch t.kind {
	case termOneOf:
		return one(t.set.closed(t.fold), next)
	case termSequence:
		for i := len(t.parts) - 1; i >= 0; i-- {
			next = b.build(t.parts[i], next)
		}
		return next
	case termChoice:
		ways := make([]matcher, len(t.parts))
		for i, p := range t.parts {
			ways[i] = b.build(p, next)
		}
		return either(ways)
	case termRepeated:
		return b.repeated(t.parts[0], t.times, next)
	case termCapture:
		if !b.captures {
			return b.build(t.parts[0], next)
		}
		return capture(t.group, b.build(t.parts[0], captureEnd(t.group, next)))
	case termReference:
		return again(t.group, t.fold, next)
	case termAtomic:
		return atomic(b.build(t.parts[0], accept), next)
	case termAhead, termNotAhead:
		return ahead(b.build(t.parts[0], accept), t.kind == termAhead, next)
	case termBehind, termNotBehind:
		low, high := t.parts[0].width()
		return behind(b.build(t.parts[0], arrived), low, high, t.kind == termBehind, next)
	case termCluster:
		return matchCluster(next)
	}
	return where(places[t.kind], next)
}

func (b *builder) repeated(t *term, q quantity, next matcher) matcher {
	if t.kind == termOneOf {
		return run(t.set.closed(t.fold), q, next)
	}
	number := b.loops
	b.loops++
	body := func(next matcher) matcher { return b.build(t, next) }
	if q.kind == possessive {
		return atomic(loop(number, q, body, accept), next)
	}
	return loop(number, q, body, next)
}

// places say where the terms that match nothing and have no parts hold.
var places = map[termKind]func(text []rune, i int) bool{
	termTextStart:   func(_ []rune, i int) bool { return i == 0 },
	termTextEnd:     func(text []rune, i int) bool { return i == len(text) },
	termLastLineEnd: func(text []rune, i int) bool { return i == len(text) || i == len(text)-1 && text[i] == '\n' },
	termLineStart:   func(text []rune, i int) bool { return i < len(text) && (i == 0 || text[i-1] == '\n') },
	termLineEnd:     func(text []rune, i int) bool { return i == len(text) || text[i] == '\n' },
	termBoundary:    atBoundary,
	termNotBoundary: func(text []rune, i int) bool { return !atBoundary(text, i) },
}

var wordSet = sync.OnceValue(func() *runeSet { return ofPairs(regexWord(), false).closed(false) })

func atBoundary(text []rune, i int) bool {
	word := wordSet()
	return (i > 0 && word.has(text[i-1])) != (i < len(text) && word.has(text[i]))
}

// mostWidth is as good as unbounded for the width of a term, and far from what overflows.
const mostWidth = 1 << 30

// width returns how many characters a term matches at least and at most, which may be unbounded.
func (t *term) width() (low, high int) {
	switch t.kind {
	case termOneOf:
		return 1, 1
	case termSequence:
		for _, p := range t.parts {
			l, h := p.width()
			low, high = min(low+l, mostWidth), sumWidths(high, h)
		}
	case termChoice:
		low, high = t.parts[0].width()
		for _, p := range t.parts[1:] {
			l, h := p.width()
			low = min(low, l)
			if high == unbounded || h == unbounded {
				high = unbounded
			} else {
				high = max(high, h)
			}
		}
	case termRepeated:
		l, h := t.parts[0].width()
		low = min(l*t.times.low, mostWidth)
		if high = unbounded; h != unbounded && t.times.high != unbounded && h*t.times.high < mostWidth {
			high = h * t.times.high
		}
	case termCapture, termAtomic:
		return t.parts[0].width()
	case termReference:
		return 0, unbounded
	case termCluster:
		return 1, unbounded
	}
	return low, high
}

func sumWidths(a, b int) int {
	if a == unbounded || b == unbounded || a+b >= mostWidth {
		return unbounded
	}
	return a + b
}
