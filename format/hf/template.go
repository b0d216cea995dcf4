package hf

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ChatTemplate returns the text of the chat template, in Jinja; empty if there is none.
func (c *Checkpoint) ChatTemplate() string { return c.template }

// The files of chat templates: the one in Jinja, a directory with others by name, and the one that processors of
// pictures and sound had before.
const (
	templateFile    = "chat_template.jinja"
	templateDir     = "additional_chat_templates"
	oldTemplateFile = "chat_template.json"
	defaultTemplate = "default"
)

// namedTemplate is a chat template and its name.
type namedTemplate struct {
	Name     string `json:"name"`
	Template string `json:"template"`
}

// readTemplates takes the chat template from files in Jinja, else from tokenizer_config.json, else from
// chat_template.json. Of several, it is the one named default, which a later place has if none before it does.
func (c *Checkpoint) readTemplates(settings *object) {
	list := c.templateFiles()
	if !hasTemplate(list, defaultTemplate) && settings != nil {
		list = addTemplates(list, c.templatesOf(tokenizerConfig, settings))
	}
	if !hasTemplate(list, defaultTemplate) {
		if o := c.settings(oldTemplateFile); o != nil {
			list = addTemplates(list, c.templatesOf(oldTemplateFile, o))
		}
	}
	c.useTemplates(list)
}

// hasTemplate reports whether a template of this name is in list.
func hasTemplate(list []namedTemplate, name string) bool {
	return slices.ContainsFunc(list, func(t namedTemplate) bool { return t.Name == name })
}

// addTemplates appends the templates of more whose names are new.
func addTemplates(list, more []namedTemplate) []namedTemplate {
	for _, t := range more {
		if !hasTemplate(list, t.Name) {
			list = append(list, t)
		}
	}
	return list
}

// useTemplates takes one of several chat templates.
func (c *Checkpoint) useTemplates(list []namedTemplate) {
	if len(list) == 0 {
		return
	}
	chosen := chooseTemplate(list)
	c.template = list[chosen].Template
	if len(list) == 1 && list[0].Name == defaultTemplate {
		return
	}
	if len(list) == 1 {
		c.note(fmt.Sprintf("chat template %q is used: there is none named %s", list[0].Name, defaultTemplate))
		return
	}
	var others []string
	for i, t := range list {
		if i != chosen {
			others = append(others, t.Name)
		}
	}
	slices.Sort(others)
	c.note(fmt.Sprintf("chat template %q is used; left out: %s (infer --chat-template FILE)", list[chosen].Name, strings.Join(others, ", ")))
}

// chooseTemplate returns the index of the template named default. Without one, transformers asks which it shall be; then it
// is the first that is not for tools or documents.
func chooseTemplate(list []namedTemplate) int {
	special := func(t namedTemplate) bool { return t.Name == "tool_use" || t.Name == "rag" }
	for _, fits := range []func(namedTemplate) bool{
		func(t namedTemplate) bool { return t.Name == defaultTemplate },
		func(t namedTemplate) bool { return !special(t) },
	} {
		if i := slices.IndexFunc(list, fits); i >= 0 {
			return i
		}
	}
	return 0
}

// templateFiles reads the files in Jinja.
func (c *Checkpoint) templateFiles() (list []namedTemplate) {
	if text := c.optionalFile(templateFile); text != nil {
		list = append(list, namedTemplate{defaultTemplate, string(text)})
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, templateDir))
	if err != nil {
		return list // most often it is not there
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".jinja")
		if !ok || name == defaultTemplate && list != nil {
			continue
		}
		if text := c.optionalFile(templateDir + "/" + e.Name()); text != nil {
			list = append(list, namedTemplate{name, string(text)})
		}
	}
	return list
}

// templatesOf reads the member chat_template: a string, an object of them, or an array of objects with name and template.
func (c *Checkpoint) templatesOf(file string, o *object) (list []namedTemplate) {
	v := o.value("chat_template")
	var err error
	switch v.Kind() {
	case '"':
		list = []namedTemplate{{Name: defaultTemplate}}
		err = json.Unmarshal(v, &list[0].Template)
	case '{':
		list, err = templateMembers(v)
	case '[':
		err = json.Unmarshal(v, &list)
	case 0:
		return nil
	default:
		err = fmt.Errorf("want a text, have %s", short(v))
	}
	if err != nil {
		c.note(fmt.Sprintf("%s: chat_template cannot be read and is left out: %v", file, err))
		return nil
	}
	return list
}

func templateMembers(v jsontext.Value) (list []namedTemplate, err error) {
	all, err := members(v)
	for _, m := range all {
		t := namedTemplate{Name: m.name}
		if err := json.Unmarshal(m.value, &t.Template); err != nil {
			return nil, fmt.Errorf("%q: want a text, have %s", m.name, short(m.value))
		}
		list = append(list, t)
	}
	return list, err
}
