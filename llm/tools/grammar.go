package tools

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

type part = *grammar.Grammar

// Holding says what Format.Grammar holds an answer to.
type Holding struct {
	Tools   []Tool
	Choice  Choice
	Content *grammar.Grammar       // what the text may look like; nil: any
	Special func(name string) bool // see llm.Vocabulary.Special
	Opened  bool                   // the answer begins within a thought, see Format.Opened
}

// ErrNoTool is the error of a choice that names no function, or wants a call where there is none.
var ErrNoTool = errors.New("there is no such function in tools")

// Grammar is that of an answer, nil if any will do: calls are held to their form and to the schemas of the functions if one has to
// come, or if a function is strict. The error names the function whose schema cannot be held to.
func (f *Format) Grammar(h Holding) (*grammar.Grammar, error) {
	b := &builder{h.Special}
	isStrict := slices.ContainsFunc(h.Tools, func(t Tool) bool { return t.Strict })
	var answer part
	switch {
	case h.Choice.Mode == Required:
		calls, err := f.written(b, h)
		if err != nil {
			return nil, err
		}
		answer = calls
	case h.Choice.Mode != None && isStrict, h.Choice.Mode != None && len(h.Tools) > 0 && h.Content != nil:
		calls, err := f.written(b, h)
		if err != nil {
			return nil, err
		}
		answer = f.either(b, h.Content, calls)
	case h.Content != nil:
		answer = f.said(b, h.Content)
	default:
		return nil, nil
	}
	return f.thinkFirst(b, answer, h.Opened), nil
}

// builder makes parts of grammars for a vocabulary.
type builder struct{ special func(name string) bool }

// mark is a token, or what it is called where it is none.
func (b *builder) mark(name string) part {
	if b.special(name) {
		return grammar.Token(name)
	}
	return grammar.Text(name)
}

// until is a text up to a mark, and the mark.
func (b *builder) until(name string) part {
	if b.special(name) {
		return grammar.Sequence(grammar.AnyText(), grammar.Token(name))
	}
	return grammar.Until(name)
}

// without is a text in which a mark is not.
func (b *builder) without(name string) part {
	if b.special(name) {
		return grammar.AnyText()
	}
	return grammar.Without(name)
}

// schema is JSON that is an argument.
func (b *builder) schema(t *Tool, schema []byte) (part, error) {
	g, err := grammar.FromSchema(schema)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", t.Name, err)
	}
	return g, nil
}

// written is one call or several.
func (f *Format) written(b *builder, h Holding) (part, error) {
	var each []part
	for i := range h.Tools {
		t := &h.Tools[i]
		if h.Choice.Name != "" && t.Name != h.Choice.Name {
			continue
		}
		if h.Choice.Mode != Required && !t.Strict { // its arguments may be any object
			t = &Tool{Name: t.Name, Parameters: []byte(`{"type":"object","additionalProperties":true}`)}
		}
		g, err := f.form.write(b, t)
		if err != nil {
			return nil, err
		}
		each = append(each, g)
	}
	if len(each) == 0 {
		return nil, ErrNoTool
	}
	one := grammar.Either(each...)
	all := one
	if h.Choice.Multi && h.Choice.Name == "" && !f.form.single {
		all = grammar.Sequence(one, grammar.Repeat(grammar.Sequence(grammar.Text(f.form.between), one), 0, -1))
	}
	if opener := f.form.openers; f.form.list[0] != "" {
		all = grammar.Sequence(b.mark(opener[0]), grammar.Text(f.form.list[0][len(opener[0]):]), all, grammar.Text(f.form.list[1]))
	}
	return all, nil
}

// either is a text, or calls that may have a text before them. content nil: any text.
func (f *Format) either(b *builder, content, calls part) part {
	switch {
	case content != nil:
		return grammar.Either(f.said(b, content), calls)
	case f.harmony():
		return grammar.Either(f.said(b, grammar.AnyText()), calls)
	case f.form.bare != nil:
		return grammar.Either(grammar.AnyBut("{["), calls)
	}
	text := b.without(cmp.Or(f.form.never, f.form.openers[0]))
	return grammar.Sequence(text, grammar.Optional(calls))
}

// said is a text as the model writes it.
func (f *Format) said(b *builder, content part) part {
	if !f.harmony() {
		return content
	}
	return grammar.Sequence(b.mark("<|channel|>"), grammar.Text("final"), b.mark("<|message|>"), content)
}

// thinkFirst lets the model think before an answer.
func (f *Format) thinkFirst(b *builder, answer part, opened bool) part {
	switch {
	case f.harmony():
		thought := grammar.Sequence(b.mark("<|channel|>"), grammar.Text("analysis"), b.mark("<|message|>"), b.until("<|end|>"), b.mark("<|start|>"), grammar.Text("assistant"))
		return grammar.Sequence(grammar.Optional(thought), answer)
	case f.think == nil:
		return answer
	case opened:
		return grammar.Sequence(b.until(f.think.close), grammar.Blank(), answer)
	}
	thought := grammar.Sequence(b.mark(f.think.open), b.until(f.think.close), grammar.Blank())
	return grammar.Sequence(grammar.Optional(thought), answer)
}
