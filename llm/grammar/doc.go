// Package grammar holds generated text to a form: a JSON schema (FromSchema), any JSON value (JSON), a regular expression
// (FromPattern) or a grammar in the notation of llama.cpp (ParseGBNF). It says which tokens may come next; it chooses none and
// runs no model.
//
// A grammar is compiled into one finite automaton over bytes for each rule, with calls from one to another: a pushdown
// automaton. A Constraint joins it with a vocabulary; a Matcher is one text on its way. Which tokens a place in a rule
// allows is found by walking the vocabulary, as a tree of bytes, once for all places that behave alike for as long as the
// longest token; only for tokens that leave the rule does it matter who has called it. The idea of telling these two apart
// is XGrammar's (Dong et al., 2024).
package grammar
