package llm

// forms: a browser has none.
type forms struct{}
