package llm

import (
	"iter"
	"time"
)

// Finish says why a text ended.
type Finish string

// The reasons.
const (
	FinishLength   Finish = "length"   // GenerateOptions.MaxTokens, or the end of the context, or the last position that the model has learned
	FinishEOS      Finish = "eos"      // the model ended its text, or its Form has no longer one
	FinishStop     Finish = "stop"     // a stop sequence
	FinishCanceled Finish = "canceled" // the context
)

// Piece is what one step adds to a text.
type Piece struct {
	Index   int      // of a batch: which request it belongs to
	Token   int32    // the token that was generated, −1: none, at the end of a text
	Logprob *Logprob // of Token, with GenerateOptions.Logprobs
	Text    string   // what is final now: may be empty while a character or a stop sequence is incomplete
	Result  *Result  // of the last piece of a text, else nil

	PromptLogprobs []*Logprob // of the first piece, with GenerateOptions.PromptLogprobs: of each token of the prompt; that of the first is nil
}

// Result is a text that has ended.
type Result struct {
	Prompt []int32 // tokens
	Tokens []int32 // generated, without those that ended the text as the model's EOS or a sequence of StopTokens
	Text   string  // of Tokens, up to a stop sequence
	Finish Finish
	Stop   string // the one of GenerateOptions.Stop that appeared, if one did
	Stats  Stats
}

// Collect reads a text to its end, without streaming it: Collect(session.Generate(ctx, prompt, options)). If the context
// ends, it returns what there is of the text, and the error.
func Collect(pieces iter.Seq2[Piece, error]) (last *Result, err error) {
	for p, err := range pieces {
		if err != nil {
			return last, err
		}
		last = p.Result
	}
	return last, nil
}

// Stats are counts and times of one text.
type Stats struct {
	PromptTokens    int           // all of them
	CachedTokens    int           // of these, the ones that were not computed because the session's cache had them
	DroppedTokens   int           // of prompt and text, those dropped to stay within the context, see GenerateOptions.Overflow
	GeneratedTokens int           // len(Result.Tokens)
	FirstToken      time.Duration // from the beginning of the prompt to the first token, 0: there was none
	Duration        time.Duration // from the beginning of the prompt to the end
	PromptSpeed     float64       // computed tokens of the prompt per second, with the choice of the first token; 0: too short to tell
	Speed           float64       // tokens per second after the first one; 0: too short to tell
}

// measurable is the least time that a speed is worked out from.
const measurable = time.Millisecond

// rate is n per second, 0 if the time is too short to tell.
func rate(n int, d time.Duration) float64 {
	if d < measurable {
		return 0
	}
	return float64(n) / d.Seconds()
}
