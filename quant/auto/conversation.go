package auto

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat"
)

// Turns of the conversations that a text is made into end with the first paragraph behind so many bytes: questions are
// shorter than answers.
const (
	questionBytes = 100
	answerBytes   = 500
	turns         = 4 // of a conversation
)

// conversation returns the text as conversations, in the form that the model was trained to read: its paragraphs are
// in turn what the user and what the assistant says.
func (j *job) conversation(text string, tok *tokenizer.Tokenizer) (string, error) {
	template := j.source.ChatTemplate()
	if template == "" {
		return "", errors.New("the model has no chat template")
	}
	t, err := chat.New(template, j.source.SpecialTokens(tok), nil)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	messages := spoken(text)
	for len(messages) > 0 {
		n := min(turns, len(messages))
		said, err := t.Render(messages[:n], false)
		if err != nil {
			return "", err
		}
		all.WriteString(said)
		messages = messages[n:]
	}
	return all.String(), nil
}

// spoken cuts a text at empty lines into what a user and an assistant say in turn.
func spoken(text string) (messages []chat.Message) {
	roles, least := [2]string{"user", "assistant"}, [2]int{questionBytes, answerBytes}
	var said []string
	size := 0
	for _, p := range strings.Split(text, "\n\n") {
		said, size = append(said, p), size+len(p)
		if who := len(messages) % 2; size >= least[who] {
			messages = append(messages, chat.Message{Role: roles[who], Content: strings.TrimSpace(strings.Join(said, "\n\n"))})
			said, size = nil, 0
		}
	}
	return messages[:len(messages)/2*2]
}

// chatting says whether the calibration text is to be made into conversations.
func (j *job) chatting() bool {
	switch k := &j.wanted.Calibration; k.Chat {
	case "on":
		return true
	case "off":
		return false
	default:
		return k.Text == "" && j.source.ChatTemplate() != ""
	}
}

// asConversations returns the text as conversations where that is wanted, and whether it is. If the template cannot do
// it and nobody asked for it, a note says so.
func (j *job) asConversations(text string, tok *tokenizer.Tokenizer) (string, bool, error) {
	if !j.chatting() {
		return text, false, nil
	}
	said, err := j.conversation(text, tok)
	switch {
	case err == nil:
		return said, true, nil
	case j.wanted.Calibration.Chat == "on":
		return "", false, fmt.Errorf("calibration text as conversations: %w", err)
	}
	j.source.notes = append(j.source.notes, fmt.Sprintf("calibrated with plain text, not with conversations: %v", err))
	return text, false, nil
}
