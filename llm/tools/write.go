package tools

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// writeJSON is {"name": NAME, KEY: ARGUMENTS}.
func writeJSON(key string) func(b *builder, t *Tool) (part, error) {
	return func(b *builder, t *Tool) (part, error) {
		args, err := b.schema(t, t.schema())
		if err != nil {
			return nil, err
		}
		return grammar.Sequence(grammar.Text(`{"name": "`+t.Name+`", "`+key+`": `), args, grammar.Text("}")), nil
	}
}

func writeHermes(b *builder, t *Tool) (part, error) {
	call, err := writeJSON("arguments")(b, t)
	if err != nil {
		return nil, err
	}
	return grammar.Sequence(b.mark("<tool_call>"), grammar.Text("\n"), call, grammar.Text("\n"), b.mark("</tool_call>")), nil
}

func writeFenced(b *builder, t *Tool) (part, error) {
	call, err := writeJSON("arguments")(b, t)
	if err != nil {
		return nil, err
	}
	return grammar.Sequence(grammar.Text("```tool_code\n"), call, grammar.Text("\n```")), nil
}

func writeMistral(b *builder, t *Tool) (part, error) {
	args, err := b.schema(t, t.schema())
	if err != nil {
		return nil, err
	}
	return grammar.Sequence(b.mark("[TOOL_CALLS]"), grammar.Text(t.Name), b.mark("[ARGS]"), args), nil
}

func writeHarmony(b *builder, t *Tool) (part, error) {
	args, err := b.schema(t, t.schema())
	if err != nil {
		return nil, err
	}
	return grammar.Sequence(
		b.mark("<|channel|>"), grammar.Text("commentary to=functions."+t.Name+" "), b.mark("<|constrain|>"), grammar.Text("json"),
		b.mark("<|message|>"), args,
	), nil
}

// writeXML is a call whose arguments are elements: strings as they are, others as JSON.
func writeXML(b *builder, t *Tool) (part, error) {
	parts := []part{b.mark("<tool_call>"), grammar.Text("\n<function=" + t.Name + ">\n")}
	for _, p := range t.properties() {
		value, err := b.plainText(t, p, "</parameter>")
		if err == nil && value == nil {
			if value, err = b.schema(t, []byte(p.text())); err == nil {
				value = grammar.Sequence(value, grammar.Text("\n</parameter>"))
			}
		}
		if err != nil {
			return nil, err
		}
		one := grammar.Sequence(grammar.Text("<parameter="+p.name+">\n"), value, grammar.Text("\n"))
		if !p.required {
			one = grammar.Optional(one)
		}
		parts = append(parts, one)
	}
	return grammar.Sequence(append(parts, grammar.Text("</function>\n"), b.mark("</tool_call>"))...), nil
}

// plainText is a parameter that is a string, without quotation marks, and what ends it; nil if it is of another type.
func (b *builder) plainText(t *Tool, p property, end string) (part, error) {
	if !p.isText() {
		return nil, nil
	}
	if list, ok := p.schema.Values["enum"].([]any); ok {
		var all []part
		for _, v := range list {
			text, _ := v.(string)
			all = append(all, grammar.Text(text))
		}
		if end[0] == '<' && end[1] == '/' { // an element's text has a line break around it
			end = "\n" + end
		}
		return grammar.Sequence(grammar.Either(all...), b.mark(end)), nil
	}
	for _, k := range []string{"pattern", "format", "minLength", "maxLength", "const"} {
		if _, ok := p.schema.Values[k]; ok {
			return nil, fmt.Errorf("function %s: #/properties/%s/%s: a string of this model's calls cannot be held to it", t.Name, p.name, k)
		}
	}
	return b.until(end), nil
}

// text writes a property's schema again; what it refers to is out of its reach.
func (p *property) text() string {
	if p.schema == nil {
		return "true"
	}
	return written(p.schema)
}

// written writes a JSON value.
func written(v any) string {
	text := ""
	switch v := v.(type) {
	case *strict.Object:
		for i, k := range v.Keys {
			if i > 0 {
				text += ", "
			}
			text += strict.Quote(k) + ": " + written(v.Values[k])
		}
		return "{" + text + "}"
	case []any:
		for i, e := range v {
			if i > 0 {
				text += ", "
			}
			text += written(e)
		}
		return "[" + text + "]"
	case string:
		return strict.Quote(v)
	case strict.Number:
		return string(v)
	case bool:
		return fmt.Sprint(v)
	}
	return "null"
}

// writeGemma is a call whose strings stand between tokens. It takes arguments that are strings, numbers, booleans, and lists of them.
func writeGemma(mark string) func(b *builder, t *Tool) (part, error) {
	return func(b *builder, t *Tool) (part, error) {
		opener, end := "<|tool_call>", "<tool_call|>"
		if mark == "<escape>" {
			opener, end = "<start_function_call>", "<end_function_call>"
		}
		args, err := b.gemmaArguments(t, mark)
		if err != nil {
			return nil, err
		}
		return grammar.Sequence(b.mark(opener), grammar.Text("call:"+t.Name+"{"), args, grammar.Text("}"), b.mark(end)), nil
	}
}

// gemmaArguments are required ones first, so that commas are where they belong.
func (b *builder) gemmaArguments(t *Tool, mark string) (part, error) {
	var first, later []part
	for _, p := range t.properties() {
		value, err := b.gemmaValue(t, p, mark)
		if err != nil {
			return nil, err
		}
		one := grammar.Sequence(grammar.Text(p.name+":"), value)
		if p.required {
			first = append(first, one)
		} else {
			later = append(later, one)
		}
	}
	var parts []part
	for i, one := range first {
		if i > 0 {
			one = grammar.Sequence(grammar.Text(","), one)
		}
		parts = append(parts, one)
	}
	if len(first) == 0 && len(later) > 0 { // any one of them may be the first
		var all []part
		for i := range later {
			rest := []part{later[i]}
			for _, o := range later[i+1:] {
				rest = append(rest, grammar.Optional(grammar.Sequence(grammar.Text(","), o)))
			}
			all = append(all, grammar.Sequence(rest...))
		}
		return grammar.Optional(grammar.Either(all...)), nil
	}
	for _, one := range later {
		parts = append(parts, grammar.Optional(grammar.Sequence(grammar.Text(","), one)))
	}
	return grammar.Sequence(parts...), nil
}

func (b *builder) gemmaValue(t *Tool, p property, mark string) (part, error) {
	text, err := b.plainText(t, p, mark)
	if err != nil {
		return nil, err
	}
	if text != nil {
		return grammar.Sequence(b.mark(mark), text), nil
	}
	if p.schema != nil {
		switch p.schema.Values["type"] {
		case "number", "integer", "boolean", "null":
			return b.schema(t, []byte(p.text()))
		case "array":
			return b.gemmaList(t, p, mark)
		}
	}
	return nil, fmt.Errorf("function %s: #/properties/%s: calls of this model are held to strings, numbers, booleans and lists of them only", t.Name, p.name)
}

// gemmaList is a list, of one type and between two lengths.
func (b *builder) gemmaList(t *Tool, p property, mark string) (part, error) {
	least, most := 0, -1
	for _, k := range p.schema.Keys {
		var err error
		number, _ := p.schema.Values[k].(strict.Number)
		switch k {
		case "minItems":
			least, err = strconv.Atoi(string(number))
		case "maxItems":
			most, err = strconv.Atoi(string(number))
		case "type", "items", "description", "title", "default", "examples":
		default:
			err = errors.New("lists of this model's calls cannot be held to it")
		}
		if err != nil {
			return nil, fmt.Errorf("function %s: #/properties/%s/%s: %w", t.Name, p.name, k, err)
		}
	}
	items, _ := p.schema.Values["items"].(*strict.Object)
	one, err := b.gemmaValue(t, property{name: p.name, schema: items}, mark)
	if err != nil {
		return nil, err
	}
	more := grammar.Sequence(grammar.Text(","), one)
	switch {
	case most == 0 || most > 0 && most < least:
		return nil, fmt.Errorf("function %s: #/properties/%s/maxItems: a list of at most %d", t.Name, p.name, most)
	case most < 0:
		more = grammar.Repeat(more, max(least-1, 0), -1)
	default:
		more = grammar.Repeat(more, max(least-1, 0), most-1)
	}
	list := grammar.Sequence(one, more)
	if least == 0 {
		list = grammar.Optional(list)
	}
	return grammar.Sequence(grammar.Text("["), list, grammar.Text("]")), nil
}
