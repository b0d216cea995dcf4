package server

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// forming has the fields of a request that say what form the text has. At most one of them may be given.
type forming struct {
	ResponseFormat *responseFormat `json:"response_format"`
	JSONSchema     json.RawMessage `json:"json_schema"`
	Grammar        string          `json:"grammar"`

	Structured    map[string]json.RawMessage `json:"structured_outputs"` // as vLLM has them
	GuidedJSON    json.RawMessage            `json:"guided_json"`        // … and had them before
	GuidedRegex   json.RawMessage            `json:"guided_regex"`
	GuidedChoice  json.RawMessage            `json:"guided_choice"`
	GuidedGrammar json.RawMessage            `json:"guided_grammar"`
}

type responseFormat struct {
	Type       string          `json:"type"`
	Schema     json.RawMessage `json:"schema"`
	JSONSchema *struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// wanted reads them.
func (q *forming) wanted() (w wanted, err error) {
	set := func(name, source string, f func() (*grammar.Grammar, error)) {
		if w.param != "" && err == nil {
			err = bad(name, "%s and %s: want one of them", w.param, name)
		}
		w = wanted{name, name + source, f}
	}
	schema := func(name string, data json.RawMessage) {
		set(name, string(data), func() (*grammar.Grammar, error) { return grammar.FromSchema(data) })
	}
	if f := q.ResponseFormat; f != nil {
		switch {
		case f.Type == "text":
		case f.Type == "json_schema" && f.JSONSchema != nil && !isNull(f.JSONSchema.Schema):
			schema("response_format", f.JSONSchema.Schema)
		case f.Type == "json_object" && !isNull(f.Schema):
			schema("response_format", f.Schema)
		case f.Type == "json_object":
			set("response_format", "", anyJSON)
		default:
			return w, bad("response_format", "response_format: want type text, json_object, or json_schema with a json_schema.schema")
		}
	}
	if !isNull(q.JSONSchema) {
		schema("json_schema", q.JSONSchema)
	}
	if q.Grammar != "" {
		set("grammar", q.Grammar, func() (*grammar.Grammar, error) { return grammar.ParseGBNF(q.Grammar) })
	}
	all := q.structured()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		data := all[name]
		if f := structuredForm(name, data); f != nil {
			set(name, string(data), f)
		} else if err == nil {
			err = bad(name, "%s: want json, regex, choice or grammar, as vLLM has them", name)
		}
	}
	return w, err
}

func anyJSON() (*grammar.Grammar, error) { return grammar.JSON(), nil }

// structured are the forms that vLLM's clients ask for, by the name of their field.
func (q *forming) structured() map[string]json.RawMessage {
	all := map[string]json.RawMessage{
		"guided_json": q.GuidedJSON, "guided_regex": q.GuidedRegex, "guided_choice": q.GuidedChoice, "guided_grammar": q.GuidedGrammar,
	}
	for name, data := range q.Structured {
		if name != "disable_any_whitespace" && name != "disable_additional_properties" && name != "whitespace_pattern" { // which choose among what the form allows
			all["structured_outputs."+name] = data
		}
	}
	for name, data := range all {
		if isNull(data) || isNothing(data) && !strings.HasSuffix(name, "json") { // {} is a schema
			delete(all, name)
		}
	}
	return all
}

// structuredForm reads one of them, nil: there is no such form.
func structuredForm(name string, data json.RawMessage) func() (*grammar.Grammar, error) {
	text, list := "", []string(nil)
	kind := name[strings.LastIndexAny(name, "._")+1:]
	isText, isList := json.Unmarshal(data, &text) == nil, json.Unmarshal(data, &list) == nil
	switch {
	case kind == "json" && isText: // the schema, once more as a string
		return func() (*grammar.Grammar, error) { return grammar.FromSchema([]byte(text)) }
	case kind == "json":
		return func() (*grammar.Grammar, error) { return grammar.FromSchema(data) }
	case kind == "object":
		return anyJSON
	case kind == "regex" && isText:
		return func() (*grammar.Grammar, error) { return grammar.FromPattern(text) }
	case kind == "grammar" && isText:
		return func() (*grammar.Grammar, error) { return grammar.ParseGBNF(text) }
	case kind == "choice" && isList && !slices.Contains(list, ""):
		return func() (*grammar.Grammar, error) {
			var all []*grammar.Grammar
			for _, one := range list {
				all = append(all, grammar.Text(one))
			}
			return grammar.Either(all...), nil
		}
	}
	return nil
}
