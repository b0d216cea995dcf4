// Package source opens a model on disk, be it a bundle or a checkpoint, and answers what both can be asked:
// its weights, tokenizer, chat template and special tokens. Open is the way in. It runs nothing and writes nothing.
package source
