package tools

import (
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// Tool is a function that a model may call.
type Tool struct {
	Name        string
	Description string
	Parameters  []byte // JSON schema of the arguments, which are an object; nil: there are none
	Strict      bool   // calls are held to Parameters
}

// Check says what is wrong with a tool.
func (t *Tool) Check() error {
	if t.Name == "" || len(t.Name) > 64 {
		return fmt.Errorf("the name %q has %d characters, want 1 to 64", t.Name, len(t.Name))
	}
	for _, r := range t.Name {
		if !isNameRune(r) {
			return fmt.Errorf("the name %q: want letters, digits, _, - and dots", t.Name)
		}
	}
	if t.Parameters == nil {
		return nil
	}
	tree, err := strict.Tree(t.Parameters)
	if err != nil {
		return fmt.Errorf("parameters: %w", err)
	}
	if _, ok := tree.(*strict.Object); !ok {
		return fmt.Errorf("parameters: want a JSON schema, an object")
	}
	return nil
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
}

// schema is Parameters; where there are none, that of an empty object.
func (t *Tool) schema() []byte {
	if t.Parameters == nil {
		return []byte(`{"type":"object","additionalProperties":false}`)
	}
	return t.Parameters
}

// JSON is how templates want to have the tool.
func (t *Tool) JSON() string {
	text := `{"type": "function", "function": {"name": ` + strict.Quote(t.Name)
	if t.Description != "" {
		text += `, "description": ` + strict.Quote(t.Description)
	}
	return text + `, "parameters": ` + string(t.schema()) + "}}"
}

// property is one of a tool's parameters.
type property struct {
	name     string
	schema   *strict.Object
	required bool
}

// properties are a tool's parameters, in their order.
func (t *Tool) properties() (list []property) {
	tree, _ := strict.Tree(t.schema())
	o, _ := tree.(*strict.Object)
	if o == nil {
		return nil
	}
	all, _ := o.Values["properties"].(*strict.Object)
	if all == nil {
		return nil
	}
	required, _ := o.Values["required"].([]any)
	for _, name := range all.Keys {
		schema, _ := all.Values[name].(*strict.Object)
		list = append(list, property{name, schema, slices.Contains(required, any(name))})
	}
	return list
}

// isText reports whether a parameter is a string and nothing else.
func (p *property) isText() bool { return p.schema != nil && p.schema.Values["type"] == "string" }

// Mode says whether a model is to call functions.
type Mode string

// The modes.
const (
	Auto     Mode = "auto"     // it may
	None     Mode = "none"     // it must not
	Required Mode = "required" // it must
)

// Choice says which functions are to be called.
type Choice struct {
	Mode  Mode
	Name  string // with Required: the one function; "": any
	Multi bool   // several calls in one answer, where the model can
}

// find returns the tool with a name, nil if there is none.
func find(tools []Tool, name string) *Tool {
	i := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &tools[i]
}
