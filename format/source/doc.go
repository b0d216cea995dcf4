// Package source opens a model on disk, a bundle or a checkpoint, and gives access to what both have: weights,
// tokenizer, chat template and special tokens. Open is the way in. It runs nothing and writes nothing.
package source
