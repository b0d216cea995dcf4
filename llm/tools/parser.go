package tools

import (
	"iter"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// Delta is what a piece of text adds to an answer: one of its fields.
type Delta struct {
	Reasoning string
	Content   string
	Call      *CallDelta
}

// CallDelta adds to a call. The first one of a call has ID and Name.
type CallDelta struct {
	Index     int
	ID        string
	Name      string
	Arguments string
}

// Parser takes an answer apart while it is generated. What may turn out to begin a call or the end of a thought is held back.
// However the text is cut into pieces, the deltas add up to the same. It is for one goroutine; call End, or Close.
type Parser struct {
	in     []byte
	ended  bool
	resume func() ([]Delta, bool)
	stop   func()
}

// Parsing says what a Parser looks for.
type Parsing struct {
	Tools    []Tool        // that may be called; none: calls are text
	Thoughts bool          // they are no text
	Opened   bool          // the text begins within a thought, see Format.Opened
	ID       func() string // of calls; nil: random
}

// Parser begins to take an answer apart.
func (f *Format) Parser(o Parsing) *Parser {
	p := &Parser{}
	if o.ID == nil {
		o.ID = randomID
	}
	p.resume, p.stop = iter.Pull(func(yield func([]Delta) bool) {
		s := &scan{f: f, Parsing: o}
		s.more = func() bool {
			for len(p.in) == 0 {
				if p.ended || !yield(s.take()) {
					return false
				}
			}
			s.buf, p.in = append(s.buf, p.in...), nil
			return true
		}
		if f.harmony() {
			s.harmony()
		} else {
			s.answer()
		}
		if out := s.take(); out != nil {
			yield(out)
		}
	})
	return p
}

// Write takes a piece of the text.
func (p *Parser) Write(text string) []Delta {
	if p.in = append(p.in, text...); len(p.in) == 0 {
		return nil
	}
	out, _ := p.resume()
	return out
}

// End returns what was held back, when no more text will come.
func (p *Parser) End() []Delta {
	p.ended = true
	out, _ := p.resume()
	p.stop()
	return out
}

// Close ends a parser whose text nobody wants any more.
func (p *Parser) Close() { p.stop() }

// randomID makes an ID. Templates of Mistral's models want nine letters and digits.
func randomID() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var id [9]byte
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return string(id[:])
}

// Answer is an answer as far as it has come.
type Answer struct {
	Reasoning, Content string
	Calls              []llm.Call
}

// Add adds deltas.
func (a *Answer) Add(deltas []Delta) {
	for _, d := range deltas {
		a.Reasoning += d.Reasoning
		a.Content += d.Content
		if d.Call == nil {
			continue
		}
		if d.Call.Index == len(a.Calls) {
			a.Calls = append(a.Calls, llm.Call{ID: d.Call.ID, Name: d.Call.Name})
		}
		a.Calls[d.Call.Index].Arguments += d.Call.Arguments
	}
}

// Parse takes a whole answer apart.
func (f *Format) Parse(text string, o Parsing) (a Answer) {
	p := f.Parser(o)
	a.Add(p.Write(text))
	a.Add(p.End())
	return a
}
