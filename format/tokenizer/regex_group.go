package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// groupKinds are the groups that have no flags. A name is for references that we do not know.
var groupKinds = [...]struct {
	mark string
	kind termKind
}{{"?=", termAhead}, {"?!", termNotAhead}, {"?<=", termBehind}, {"?<!", termNotBehind}, {"?>", termAtomic}, {"?:", termSequence}}

// group reads what follows a (. Of a comment and of flags for all that follows, nothing remains.
func (p *regexParser) group() (*term, error) {
	fold, dotAll := p.fold, p.dotAll
	if p.takes("?#") {
		for ; p.at < len(p.in); p.at++ {
			if p.takes(")") {
				return nil, nil
			}
		}
		return nil, errors.New("a comment is not closed")
	}
	if !p.next("?") {
		p.groups++
		number := p.groups
		t, err := p.content()
		return &term{kind: termCapture, parts: []*term{t}, group: number}, err
	}
	if n := groupName(p.rest()); n > 0 {
		p.at += n
		return p.content()
	}
	for _, k := range groupKinds {
		if p.takes(k.mark) {
			t, err := p.content()
			if k.kind == termSequence || err != nil {
				return t, err
			}
			return &term{kind: k.kind, parts: []*term{t}}, nil
		}
	}
	first := p.at == 1
	flags, err := p.flags()
	switch alone := strings.HasSuffix(flags, ")"); {
	case err != nil || alone && first:
		return nil, err
	case alone:
		return nil, fmt.Errorf("group (%s is supported at the start only", flags)
	}
	t, err := p.content()
	p.fold, p.dotAll = fold, dotAll
	return t, err
}

// content reads a group from behind its kind to its ).
func (p *regexParser) content() (*term, error) {
	if p.nested++; p.nested > maxNesting {
		return nil, fmt.Errorf("groups within each other more than %d deep", maxNesting)
	}
	t, err := p.choice()
	p.nested--
	if err == nil && !p.takes(")") {
		err = errors.New("a ( is not closed")
	}
	return t, err
}

// flags reads the flags of a group with the : or ) behind them.
func (p *regexParser) flags() (string, error) {
	end := strings.IndexAny(p.rest(), ":)>")
	if end < 0 {
		return "", errors.New("a group is not understood")
	}
	text := p.rest()[:end+1]
	if strings.Trim(text[1:end], "im-") != "" || text[end] == '>' {
		return "", fmt.Errorf("group (%s is not supported", text)
	}
	on := true
	for _, c := range text[1:end] {
		switch c {
		case '-':
			on = false
		case 'i':
			p.fold = on
		case 'm': // . is a newline, too
			p.dotAll = on
		}
	}
	p.at += len(text)
	return text, nil
}

// groupName returns the length of ?<name> at the start of s, in characters; 0 if there is none.
func groupName(s string) int {
	name, ok := strings.CutPrefix(s, "?<")
	if !ok {
		return 0
	}
	name, _, ok = strings.Cut(name, ">")
	n := 0
	for _, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (n == 0 || !unicode.IsDigit(r)) {
			return 0
		}
		n++
	}
	if !ok || n == 0 {
		return 0
	}
	return n + len("?<>")
}
