package llm

import (
	"errors"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// What a caller may want to branch on.
var (
	ErrNoTokenizer = errors.New("the model has no tokenizer: it takes tokens, and returns them")
	ErrNoTemplate  = errors.New("has no chat template: it was not trained to chat; continue a text instead, or give a template")
	ErrNoTokens    = errors.New("the prompt has no token")
)

// Message is one turn of a conversation. Role is mostly system, user, assistant or tool.
type Message struct {
	Role, Content string

	Calls     []Call // of the assistant: functions that it wants to be called, see package llm/tools
	Reasoning string // that led the assistant to Content or Calls
	CallID    string // of a tool: the call that Content is the result of
	Name      string // of that tool
}

// Call is one of a function. Arguments is a JSON object; what a model has written may be another text.
type Call struct {
	ID, Name, Arguments string
}

// Template writes a conversation as the text that a model was trained to continue. With addGenerationPrompt, the
// text ends with what begins the assistant's answer.
type Template interface {
	Render(messages []Message, addGenerationPrompt bool) (string, error)
}

// Vocabulary turns texts and conversations into a model's tokens, and tokens into text.
type Vocabulary struct {
	Tokenizer *tokenizer.Tokenizer // nil: there is none
	BOS       int                  // token that begins a text, −1: none
	EOS       []int                // tokens that end one
	Template  Template             // nil: the model was not trained to chat
}

// Special reports whether a text is the name of a special token, which no other tokens spell.
func (v *Vocabulary) Special(name string) bool {
	if v.Tokenizer == nil {
		return false
	}
	id, ok := v.Tokenizer.ID(name)
	return ok && v.Tokenizer.Special(id)
}

// Prompt returns the tokens of a text to be continued. With bos, the tokenizer puts before it what belongs before
// a text, such as BOS. The error is ErrNoTokens if there are no tokens, or ErrNoTokenizer.
func (v *Vocabulary) Prompt(text string, bos bool) ([]int32, error) {
	if v.Tokenizer == nil {
		return nil, ErrNoTokenizer
	}
	ids, err := v.Tokenizer.Encode(text, bos)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 && v.BOS >= 0 && bos {
		ids = []int32{int32(v.BOS)}
	}
	if len(ids) == 0 {
		return nil, ErrNoTokens
	}
	return ids, nil
}

// Conversation returns the tokens of a conversation, up to where the assistant's answer begins. t is the template to
// use, nil: the model's. The error is ErrNoTemplate if there is neither, ErrNoTokenizer, or the template's.
func (v *Vocabulary) Conversation(messages []Message, t Template) ([]int32, error) {
	if t == nil {
		t = v.Template
	}
	switch {
	case v.Tokenizer == nil:
		return nil, ErrNoTokenizer
	case t == nil:
		return nil, ErrNoTemplate
	}
	text, err := t.Render(messages, true)
	if err != nil {
		return nil, err
	}
	ids, err := v.Tokenizer.Encode(text, false)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errors.New("chat template: it makes an empty text of the conversation")
	}
	return ids, nil
}
