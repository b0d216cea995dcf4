// Package tokenizer turns text into the token ids of a Hugging Face tokenizer.json and back. The way in is Load, or Parse
// for bytes. Its ids are those of the tokenizers library, for BPE, Unigram, WordPiece and WordLevel models with their
// normalizers, pre-tokenizers, post-processors and decoders.
//
// A file with an unknown part, or a known part with an unknown option, is an error that names it: no part is ever
// skipped. Truncation and padding, which concern batches, are read and ignored. The package never trains, writes or
// downloads anything, and never guesses how a text is split.
package tokenizer
