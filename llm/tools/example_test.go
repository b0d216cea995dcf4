package tools_test

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

func Example() {
	format := tools.Detect("… <tool_call> … <think> … </think> …") // llm.Files.ChatTemplate
	parser := format.Parser(tools.Parsing{Tools: []tools.Tool{{Name: "weather"}}, Thoughts: true})
	defer parser.Close()

	var answer tools.Answer
	for _, piece := range []string{"<thi", "nk>Ask.</think>", "I'll ask.\n<tool_", "call>{\"name\": \"weather\", ", "\"arguments\": {\"city\": \"Graz\"}}</tool_call>"} { // llm.Piece.Text
		answer.Add(parser.Write(piece))
	}
	answer.Add(parser.End())
	fmt.Println(answer.Reasoning)
	fmt.Println(answer.Content)
	fmt.Println(answer.Calls[0].Name, answer.Calls[0].Arguments)
	// Output:
	// Ask.
	// I'll ask.
	// weather {"city": "Graz"}
}
