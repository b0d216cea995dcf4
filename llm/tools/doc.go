// Package tools lets models call functions and think before they answer: it recognizes from a chat template how a model writes
// both (Detect), writes conversations with calls and their results for templates that cannot (Format.Prompt), takes calls and
// thoughts out of a text while it is generated (Parser), and makes grammars that hold a text to a call (Format.Grammar).
//
// Ways of writing calls are one table, forms. The package runs no model, calls no function and reads no files. See
// docs/library.md for how it is used with package llm.
package tools
