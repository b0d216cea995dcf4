// Package server serves models over HTTP as OpenAI's interface has it, so that clients made for that one work: chats, responses
// and text completions, streamed or whole, with JSON schemas, grammars and tools; models, tokens, slots, health and metrics
// beside them. New is the way in. Texts of many requests are computed together by an llm.Scheduler for each model; models are
// loaded when they are asked for.
//
// A field that is not known is ignored, as clients need; a known one with a bad value, or one that cannot be honored, is an
// error that names it. The package computes nothing, listens nowhere, and writes no files but slots that are saved. Responses
// are kept in memory, within a bound, for those that follow them.
package server
