package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// formFlags say what a text may look like.
var formFlags = []cli.Flag{
	&cli.StringFlag{Name: "json-schema", Usage: "`SCHEMA`: write JSON that this schema accepts: a file, or the schema itself, which begins with {", Category: "Form"},
	&cli.BoolFlag{Name: "json-object", Usage: "write a JSON object", Category: "Form", DisableDefaultText: true},
	&cli.StringFlag{Name: "grammar", Usage: "`FILE`: write text that matches this grammar, in llama.cpp's notation (GBNF)", Category: "Form"},
}

// newForm reads formFlags, nil: none is given.
func newForm(c *cli.Context, files *llm.Files) (*llm.Form, error) {
	var given []string
	for _, f := range formFlags {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		if c.Value(name) == "" {
			return nil, cmdline.Usagef("--%s: its value is empty", name)
		}
		given = append(given, "--"+name)
	}
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) > 1 {
		return nil, cmdline.Usagef("%s: want one of them", strings.Join(given, " and "))
	}
	g, err := readForm(c)
	if err == nil && g == nil { // --json-object=false
		return nil, nil
	}
	var form *llm.Form
	if err == nil {
		form, err = files.Vocabulary().Form(g)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", given[0], err)
	}
	return form, nil
}

func readForm(c *cli.Context) (*grammar.Grammar, error) {
	if schema := c.String("json-schema"); schema != "" {
		data := []byte(schema)
		if !strings.HasPrefix(strings.TrimSpace(schema), "{") {
			var err error
			if data, err = os.ReadFile(schema); err != nil {
				return nil, err
			}
		}
		return grammar.FromSchema(data)
	}
	if path := c.String("grammar"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return grammar.ParseGBNF(string(data))
	}
	if !c.Bool("json-object") {
		return nil, nil
	}
	return grammar.JSON(), nil
}
