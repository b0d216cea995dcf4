package llm_test

import (
	"context"
	"fmt"
	"log"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// Open a model and stream what it writes. Without a Device, Open loads a bundle onto the best GPU.
func ExampleOpen() {
	ctx := context.Background()
	m, err := llm.Open(ctx, "../testdata/tiny", llm.Options{Device: llm.CPU})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	o := llm.GenerateOptions{MaxTokens: 20, Stop: []string{"."}} // the zero Sampling takes the likeliest token
	for piece, err := range s.Generate(ctx, "It was a cold morning", o) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(piece.Text)
		if r := piece.Result; r != nil {
			fmt.Printf("|\nended by %s after %d tokens\n", r.Finish, r.Stats.GeneratedTokens)
		}
	}
	// Output:
	// , and the wind was so bright and cold, that I could not sleep|
	// ended by stop after 16 tokens
}

// Have a conversation. The model's own template is used, if it has one; this one was not trained to chat.
func ExampleSession_Chat() {
	ctx := context.Background()
	files, err := llm.OpenFiles("../testdata/tiny")
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close()
	template, err := files.Template("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}", nil)
	if err != nil {
		log.Fatal(err)
	}
	m, err := files.Load(ctx, llm.Options{Device: llm.CPU})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	var messages []llm.Message
	for _, question := range []string{"It was a cold morning", " and she said"} {
		messages = append(messages, llm.Message{Role: "user", Content: question})
		answer, err := llm.Collect(s.Chat(ctx, messages, llm.GenerateOptions{Template: template, MaxTokens: 6}))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s…%s\n%d of %d tokens were in the cache\n", question, answer.Text, answer.Stats.CachedTokens, answer.Stats.PromptTokens)
		messages = append(messages, llm.Message{Role: "assistant", Content: answer.Text})
	}
	// Output:
	// It was a cold morning…, and the wind was so
	// 0 of 6 tokens were in the cache
	//  and she said…, "Is it true
	// 11 of 15 tokens were in the cache
}

// Continue several texts at once; Options.Sequences says how many. They are numbered, and end in any order.
func ExampleModel_Batch() {
	ctx := context.Background()
	m, err := llm.Open(ctx, "../testdata/tiny", llm.Options{Device: llm.CPU})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	var requests []llm.Request
	for _, text := range []string{"It was", "She said"} {
		prompt, err := m.Vocabulary().Prompt(text, true)
		if err != nil {
			log.Fatal(err)
		}
		requests = append(requests, llm.Request{Prompt: prompt, Options: llm.GenerateOptions{MaxTokens: 8}})
	}
	for piece, err := range m.Batch(ctx, requests) {
		if err != nil {
			log.Fatal(err)
		}
		if piece.Result != nil {
			fmt.Printf("%d: %s\n", piece.Index, piece.Result.Text)
		}
	}
	// Output:
	// 0:  a very long time before I could get
	// 1: , "I am not going to be
}
