package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

// turn is an answer that is asked for: how its prompt reads, and how it is taken apart.
type turn struct {
	format  *tools.Format
	choice  tools.Choice
	parsing tools.Parsing
	prompt  string
	parse   bool // the answer may have thoughts or calls in it
}

// formats finds out once how a model writes calls and thoughts.
type formats struct {
	once   sync.Once
	format *tools.Format
}

// format returns how the model writes calls and thoughts, as its own chat template tells.
func (l *loaded) format() *tools.Format {
	l.formats.once.Do(func() {
		source, _ := l.scheduler.Model().Vocabulary().Template.(interface{ Source() string })
		text := ""
		if source != nil {
			text = source.Source()
		}
		l.formats.format = tools.Detect(text)
		l.formats.format.Probe((&request{}).renderer(l))
	})
	return l.formats.format
}

// renderer writes conversations by the model's template, with the variables of the request.
func (q *request) renderer(l *loaded) tools.Render {
	return func(messages []llm.Message, offered string) (string, error) {
		t, err := q.template(l, offered)
		if err != nil {
			return "", err
		}
		text, err := t.Render(messages, true)
		if err != nil {
			return "", bad("messages", "%v", err)
		}
		return text, nil
	}
}

// noTemplate says what can be done with a model that was not trained to chat.
func noTemplate(l *loaded) error {
	return bad("", "model %s has no chat template: it was not trained to chat; let it continue a text with /v1/completions, or quantize it again with a chat_template.jinja beside its tokenizer.json", l.ID)
}

// template is the model's, with the variables of the request, and tools if there are some.
func (q *request) template(l *loaded, offered string) (llm.Template, error) {
	own := l.scheduler.Model().Vocabulary().Template
	if own == nil {
		return nil, noTemplate(l)
	}
	vars, err := q.effort()
	if err != nil {
		return nil, err
	}
	if len(q.TemplateVariables)+len(vars) == 0 && offered == "" {
		return own, nil
	}
	for name, v := range q.TemplateVariables {
		vars[name] = json.RawMessage(v)
	}
	if offered != "" {
		vars["tools"] = json.RawMessage(offered)
	}
	t, err := l.in.Template(vars)
	if err != nil {
		return nil, bad("chat_template_kwargs", "%v", err)
	}
	return t, nil
}

// conversation reads the messages.
func (q *request) conversation() (list []llm.Message, err error) {
	if len(q.Messages) == 0 {
		return nil, bad("messages", "there are no messages")
	}
	names := map[string]string{} // of functions, by the IDs of their calls
	for i, m := range q.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		if m.Role == "" {
			return nil, bad(at, "%s has no role", at)
		}
		m.modern(i, list)
		text, err := m.text(at)
		if err != nil {
			return nil, err
		}
		one := llm.Message{Role: m.Role, Content: text, Reasoning: m.Reasoning, CallID: m.CallID, Name: m.Name, Calls: m.calls()}
		for _, c := range one.Calls {
			names[c.ID] = c.Name
		}
		if one.Role == "tool" && one.Name == "" {
			one.Name = names[one.CallID]
		}
		list = append(list, one)
	}
	return list, nil
}

// modern turns what newer and older clients write into what templates know; before are the messages before it.
func (m *message) modern(i int, before []llm.Message) {
	switch m.Role {
	case "developer":
		m.Role = "system"
	case "function":
		m.Role = "tool"
		if n := len(before); n > 0 && len(before[n-1].Calls) > 0 {
			m.CallID = before[n-1].Calls[0].ID
		}
	}
	if m.FunctionCall != nil && len(m.ToolCalls) == 0 {
		m.ToolCalls = []callJSON{{ID: fmt.Sprintf("function%d", i%10), Type: "function", Function: *m.FunctionCall}}
	}
}

// turn writes the prompt.
func (q *request) turn(l *loaded) (*turn, error) {
	messages, err := q.conversation()
	if err != nil {
		return nil, err
	}
	if l.scheduler.Model().Vocabulary().Template == nil {
		return nil, noTemplate(l)
	}
	t := &turn{format: l.format()}
	if t.parsing.Tools, t.choice, err = q.offered(); err != nil {
		return nil, err
	}
	if t.parsing.Thoughts, err = q.thoughts(); err != nil {
		return nil, err
	}
	var begun *llm.Message
	if messages, begun, err = q.begun(messages); err != nil {
		return nil, err
	}
	if t.prompt, err = t.format.Prompt(messages, t.parsing.Tools, q.renderer(l)); err != nil {
		return nil, err
	}
	if begun != nil {
		var ok bool
		if t.prompt, ok = t.format.Continue(t.prompt, *begun); !ok {
			return nil, bad("continue_final_message", "continue_final_message: the answers of this model cannot be continued")
		}
	}
	t.parsing.Opened = t.format.Opened(t.prompt)
	t.parse = len(t.parsing.Tools) > 0 || t.parsing.Thoughts && t.format.Thinks()
	return t, nil
}

// begun takes the last message, the answer that the model is to go on with, off the others; nil if it is to begin one.
func (q *request) begun(messages []llm.Message) (before []llm.Message, last *llm.Message, err error) {
	if !q.ContinueFinal {
		return messages, nil, nil
	}
	last = &messages[len(messages)-1]
	if last.Role != "assistant" || last.Content+last.Reasoning == "" || len(last.Calls) > 0 {
		return nil, nil, bad("continue_final_message", "continue_final_message: the last message has to be text or thoughts of the assistant, without calls")
	}
	return messages[:len(messages)-1], last, nil
}

// options adds to the options what has to do with calls and thoughts, and returns the prompt's tokens.
func (t *turn) options(q *request, l *loaded, o *llm.GenerateOptions) (ids []int32, err error) {
	v := l.scheduler.Model().Vocabulary()
	if t.parse {
		o.Show = t.format.Show(len(t.parsing.Tools) > 0)
	}
	w, err := q.wanted()
	if err != nil {
		return nil, err
	}
	key := ""
	if t.parse {
		key = fmt.Sprintf("%+v\n%+v\n%t", t.parsing.Tools, t.choice, t.parsing.Opened)
	}
	o.Form, err = w.form(l, key, func(content *grammar.Grammar) (*grammar.Grammar, error) {
		if !t.parse {
			return content, nil
		}
		g, err := t.format.Grammar(tools.Holding{
			Tools: t.parsing.Tools, Choice: t.choice, Content: content, Special: v.Special, Opened: t.parsing.Opened && t.parsing.Thoughts,
		})
		if err != nil {
			return nil, bad("tools", "tools: %v", err)
		}
		return g, nil
	})
	if err != nil {
		return nil, err
	}
	if v.Tokenizer == nil {
		return nil, llm.ErrNoTokenizer
	}
	if ids, err = v.Tokenizer.Encode(t.prompt, false); err != nil {
		return nil, bad("messages", "%v", err)
	}
	if len(ids) == 0 {
		return nil, bad("messages", "chat template: it makes an empty text of the conversation")
	}
	return ids, nil
}

// wanted is what response_format, json_schema or grammar want a text to look like.
type wanted struct {
	param, text string // the field, and all that is in it
	read        func() (*grammar.Grammar, error)
}

// form returns the form of a text: what is wanted, after wrap has put more around it; nil if any text will do. key tells forms apart
// whose wraps differ.
func (w *wanted) form(l *loaded, key string, wrap func(*grammar.Grammar) (*grammar.Grammar, error)) (*llm.Form, error) {
	if w.param == "" && key == "" {
		return nil, nil
	}
	form, err := l.forms.get(w.text+"\n"+key, func() (*llm.Form, error) {
		var content *grammar.Grammar
		if w.param != "" {
			var err error
			if content, err = w.read(); err != nil {
				return nil, err
			}
		}
		g, err := wrap(content)
		if g == nil || err != nil {
			return nil, err
		}
		return l.scheduler.Model().Form(g)
	})
	var known *apiError
	if err != nil && !errors.As(err, &known) {
		err = bad(w.param, "%v", err)
	}
	return form, err
}

// callsFinish is why an answer ended that has calls.
func (q *calling) callsFinish() string {
	if q.old() {
		return "function_call"
	}
	return "tool_calls"
}

// answer takes a whole answer apart.
func (t *turn) answer(text string) tools.Answer {
	if !t.parse {
		return tools.Answer{Content: text}
	}
	return t.format.Parse(text, t.parsing)
}

// parsing is an answer that is taken apart while it comes.
type parsing struct {
	*tools.Parser
	called bool // a function
}

// parsers are those of a request's answers; nil: nothing is in them but text.
type parsers []*parsing

func (j *job) parsers() (all parsers) {
	if j.turn == nil || !j.turn.parse {
		return nil
	}
	for range j.requests {
		all = append(all, &parsing{Parser: j.turn.format.Parser(j.turn.parsing)})
	}
	return all
}

func (all parsers) close() {
	for _, p := range all {
		p.Close()
	}
}

// piece takes a piece of the answer.
func (p *parsing) piece(of *llm.Piece) []tools.Delta {
	deltas := p.Write(of.Text)
	if of.Result != nil {
		deltas = append(deltas, p.End()...)
	}
	for _, d := range deltas {
		p.called = p.called || d.Call != nil
	}
	return deltas
}
