// Package llm generates text: it opens a model, keeps the state of its conversations, and streams what the model
// writes. It also has the ways in to what comes before: Convert makes a bundle of a checkpoint, Verify compares the two.
//
//	m, err := llm.Open(ctx, "bundle", llm.Options{})
//	s, err := m.NewSession()
//	for piece, err := range s.Generate(ctx, "It was a cold morning", llm.GenerateOptions{MaxTokens: 40}) {
//		...
//		fmt.Print(piece.Text)
//	}
//
// Open is the way in. A program that already has the parts of a model (such as the one in the browser, which receives
// bytes from JavaScript) makes a Model from them with New. A Session is a sequence in the model's KV cache: it remembers
// what was computed, so that the common beginning of two prompts is computed once. Model.Batch continues several texts
// at once.
//
// The package computes nothing itself, prints nothing and reads no flags. The same model, prompt, options and seed
// give the same text.
package llm
