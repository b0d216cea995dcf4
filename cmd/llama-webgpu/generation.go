package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// printer writes a text as it comes.
type printer struct {
	w      io.Writer // nil: nowhere
	begun  bool      // a line was begun
	failed error     // the first time that w did not take text
}

func (p *printer) print(text string) {
	if p.w != nil && text != "" {
		p.begun = true
		_, err := io.WriteString(p.w, text)
		p.failed = cmp.Or(p.failed, err)
	}
}

// stream prints a text to its end. That its context has ended is no error.
func (p *printer) stream(pieces iter.Seq2[llm.Piece, error]) (*llm.Result, error) {
	var last *llm.Result
	for piece, err := range pieces {
		if errors.Is(err, context.Canceled) && last != nil {
			break
		}
		if err != nil {
			return nil, overflowed(err)
		}
		last = piece.Result
		if p.print(piece.Text); p.failed != nil {
			return nil, p.failed
		}
	}
	return last, nil
}

// overflowed says what can be done about a prompt that is too long.
func overflowed(err error) error {
	switch {
	case errors.As(err, new(*llm.OptionError)): // of --keep, once the prompt is known
		return fmt.Errorf("--%w", err)
	case errors.Is(err, llm.ErrTooLong):
		return fmt.Errorf("%w; give a larger --max-seq-len, or drop the oldest tokens with --on-overflow truncate or shift", err)
	}
	return err
}

// resultJSON is what --json prints of a text.
type resultJSON struct {
	PromptTokens []int32 `json:"prompt_tokens"`
	Tokens       []int32 `json:"tokens"`
	Text         string  `json:"text"`
	Stats        *stats  `json:"stats"`
}

func newResultJSON(r *llm.Result, s *stats) resultJSON {
	return resultJSON{r.Prompt, append([]int32{}, r.Tokens...), r.Text, s}
}

// finish prints what is printed at the end, and says if that came too early.
func (i *inference) finish(out *printer, r *llm.Result) error {
	s := i.stats(r, i.seed)
	switch {
	case i.c.Bool("json"):
		if err := cmdline.PrintJSON(i.c, newResultJSON(r, s)); err != nil {
			return err
		}
	case out.begun:
		if _, err := fmt.Fprintln(out.w); err != nil {
			return err
		}
	}
	if i.c.Bool("stats") && !i.c.Bool("json") {
		s.print(os.Stderr)
	}
	if r.Finish == llm.FinishCanceled {
		return errInterrupted
	}
	return nil
}
