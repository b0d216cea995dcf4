package llm

import (
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// run is one text that is being continued.
type run struct {
	index     int
	session   *Session // nil before it has begun
	o         *GenerateOptions
	sampler   *sample.Sampler
	form      *formed    // nil: any text will do
	rest      []int32    // to be fed before the next token is chosen; of the prompt several, later one
	last      *Logprob   // of the token that was chosen last, if it is wanted
	scores    []*Logprob // of the prompt, as far as they are wanted and known, until a piece has taken them
	embedding *embedding // what is wanted in place of a text, nil: a text
	chosen    int        // tokens, one that ended the text included
	keep      int        // of the prompt, first tokens that a shift does not drop

	stream *tokenizer.Stream // nil without a tokenizer
	tokens stopper[int32]
	text   stopper[byte]
	result Result
	all    strings.Builder // the text

	begun, first time.Time // when the prompt was begun, and when the first token was chosen
	over         bool
}

// streamContext is how many tokens of the prompt the text of the next token may depend on, and many more.
const streamContext = 256

// newRun checks the options and prepares a text.
func newRun(index int, m *Model, prompt []int32, o *GenerateOptions) (*run, error) {
	if len(prompt) == 0 {
		return nil, ErrNoTokens
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	v := &m.vocabulary
	cut, keep, err := m.cut(prompt, o)
	if err != nil {
		return nil, err
	}
	r := &run{index: index, o: o, keep: keep, sampler: o.Sampler, result: Result{Prompt: cut}}
	r.result.Stats.DroppedTokens = len(prompt) - len(cut)
	prompt = cut
	if r.sampler == nil {
		if r.sampler, err = sample.New(o.Sampling); err != nil {
			return nil, err
		}
	}
	m.breaking(r.sampler)
	if r.form, err = o.Form.start(); err != nil {
		return nil, err
	}
	r.tokens.stops = slices.Clone(o.StopTokens)
	for _, id := range v.EOS {
		r.tokens.stops = append(r.tokens.stops, []int32{int32(id)})
	}
	for _, s := range o.Stop {
		r.text.stops = append(r.text.stops, []byte(s))
	}
	if v.Tokenizer != nil {
		r.stream = v.Tokenizer.Stream(true)
		r.stream.Show(o.Show...)
		for _, id := range prompt[max(0, len(prompt)-streamContext):] { // what follows may depend on it: a space, half a character
			r.stream.Push(id)
		}
	}
	return r, nil
}

// begin gives the text a sequence, and finds out what of the prompt is to be computed.
func (r *run) begin(s *Session) error {
	r.session, r.begun = s, time.Now()
	if r.o.PromptLogprobs {
		r.scores = []*Logprob{nil}
	} else if r.o.most() == 0 {
		return nil
	}
	if r.needsAll() {
		s.Reset()
	}
	var err error
	if r.rest, err = s.resume(r.result.Prompt); err != nil {
		return err
	}
	r.result.Stats.CachedTokens = len(r.result.Prompt) - len(r.rest)
	seen := r.result.Prompt
	if r.o.Sampler != nil { // it has seen the others before
		seen = r.rest
	}
	for _, id := range seen {
		r.sampler.Accept(id)
	}
	return nil
}

// pending reports whether several tokens are to be computed before the next one is chosen: a prompt, or what a shift kept.
func (r *run) pending() bool { return r.chosen == 0 || len(r.rest) > 1 }

// makeRoom is for a text whose sequence is full: it drops tokens, or reports that the text is to end.
func (r *run) makeRoom() (ok bool, err error) {
	if r.o.Overflow != OverflowShift {
		return false, nil
	}
	rest, dropped, err := r.session.shift(r.rest, r.keep)
	if err != nil {
		return false, err
	}
	r.rest = rest
	r.result.Stats.DroppedTokens += dropped
	return true, nil
}

// take adds a token that was chosen. The piece has a Result if the text ends with it.
func (r *run) take(id int32) (Piece, error) {
	if r.chosen++; r.chosen == 1 {
		r.first = time.Now()
	}
	complete, err := r.form.accept(id)
	if err != nil {
		return Piece{}, err
	}
	p := r.added(id, complete)
	if p.Token >= 0 {
		p.Logprob = r.last
	}
	return r.scored(p), nil
}

// added is take for a token that the form of the text allows; complete says that the text has come to its end by it.
func (r *run) added(id int32, complete bool) Piece {
	r.sampler.Accept(id)
	r.rest = []int32{id}
	eos := len(r.o.StopTokens)
	final, stop := r.tokens.push(id)
	text, stopped := r.write(final)
	switch {
	case stopped:
		return r.end(id, text, FinishStop)
	case stop >= eos:
		return r.end(-1, text, FinishEOS)
	case stop >= 0:
		return r.end(-1, text, FinishStop)
	case complete:
		return r.end(id, text, FinishEOS)
	case r.chosen >= r.o.most():
		return r.end(id, text, FinishLength)
	}
	r.all.WriteString(text)
	return Piece{Index: r.index, Token: id, Text: text}
}

// write adds tokens to the text and returns what of it is final. It reports whether a stop sequence has appeared.
func (r *run) write(ids []int32) (text string, stopped bool) {
	r.result.Tokens = append(r.result.Tokens, ids...)
	if r.stream == nil {
		return "", false
	}
	for _, id := range ids {
		show, stopped := r.show(r.stream.Push(id))
		if text += show; stopped {
			return text, true
		}
	}
	return text, false
}

// show lets text through until a stop sequence appears.
func (r *run) show(text string) (final string, stopped bool) {
	show, stop := r.text.push([]byte(text)...)
	if stop >= 0 {
		r.result.Stop = r.o.Stop[stop]
	}
	return string(show), stop >= 0
}

// end makes the last piece: what was held back is part of the text, unless a stop sequence has ended it.
func (r *run) end(id int32, text string, why Finish) Piece {
	if r.result.Stop == "" {
		rest, stopped := r.write(r.tokens.flush())
		if text += rest; !stopped && r.stream != nil {
			rest, stopped = r.show(r.stream.Flush())
			text += rest
		}
		if !stopped {
			text += string(r.text.flush())
		} else {
			why = FinishStop
		}
	}
	r.all.WriteString(text)
	r.result.Text, r.result.Finish = r.all.String(), why
	r.measure()
	r.over = true
	if r.form != nil {
		r.sampler.Allow(nil) // it may be the caller's
	}
	return Piece{Index: r.index, Token: id, Text: text, Result: &r.result}
}

// measure fills in counts and times.
func (r *run) measure() {
	s, now := &r.result.Stats, time.Now()
	s.PromptTokens, s.GeneratedTokens = len(r.result.Prompt), len(r.result.Tokens)
	if !r.begun.IsZero() {
		s.Duration = now.Sub(r.begun)
	}
	if r.chosen == 0 {
		return
	}
	s.FirstToken = r.first.Sub(r.begun)
	s.PromptSpeed = rate(s.PromptTokens-s.CachedTokens, s.FirstToken)
	s.Speed = rate(r.chosen-1, now.Sub(r.first))
}
