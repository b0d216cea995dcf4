package tools

import (
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// sampleXML writes a call as elements: strings as they are, others as JSON.
func sampleXML(c callText) string {
	var b strings.Builder
	b.WriteString("<tool_call>\n<function=" + c.name + ">\n")
	tree, _ := strict.Tree([]byte(c.args))
	if args, ok := tree.(*strict.Object); ok {
		for _, k := range args.Keys {
			text, isText := args.Values[k].(string)
			if !isText {
				text = written(args.Values[k])
			}
			b.WriteString("<parameter=" + k + ">\n" + text + "\n</parameter>\n")
		}
	}
	return b.String() + "</function>\n</tool_call>"
}

// sampleGemma writes a call whose strings stand between tokens.
func sampleGemma(mark string) func(c callText) string {
	opener, end := "<|tool_call>", "<tool_call|>"
	if mark == "<escape>" {
		opener, end = "<start_function_call>", "<end_function_call>"
	}
	return func(c callText) string {
		tree, err := strict.Tree([]byte(c.args))
		if err != nil {
			return opener + "call:" + c.name + c.args + end
		}
		return opener + "call:" + c.name + gemmaWritten(tree, mark) + end
	}
}

func gemmaWritten(v any, mark string) string {
	var all []string
	switch v := v.(type) {
	case *strict.Object:
		for _, k := range v.Keys {
			all = append(all, k+":"+gemmaWritten(v.Values[k], mark))
		}
		return "{" + strings.Join(all, ",") + "}"
	case []any:
		for _, e := range v {
			all = append(all, gemmaWritten(e, mark))
		}
		return "[" + strings.Join(all, ",") + "]"
	case string:
		return mark + v + mark
	}
	return written(v)
}
