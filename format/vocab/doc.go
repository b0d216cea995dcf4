// Package vocab builds a tokenizer.json from other kinds of vocabulary files. What it builds is what
// transformers makes of the same files: the same ids for the same text, and where that is not what SentencePiece
// says, SentencePiece is followed. It never guesses: a file that does not say how text is cut is an error that names
// what is missing.
package vocab
