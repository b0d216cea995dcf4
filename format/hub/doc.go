// Package hub downloads a model from a Hugging Face hub into the cache that Hugging Face's own programs use, so that
// each file lies on a disk once. Client.Fetch is the way in.
//
// A file appears in the cache when its hash is right, a snapshot when all of its files are there; an interrupted
// download continues where it stopped. The package sends nothing but requests for files, and reads no model.
package hub
