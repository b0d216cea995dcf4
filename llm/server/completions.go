package server

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// seed is the one that a request gives; one below 0, or none, is random.
func seed(given *whole) uint64 {
	if given == nil || *given < 0 {
		return rand.Uint64() >> 11
	}
	return uint64(*given)
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) error {
	return s.generate(w, r, chatForm, chatPrompt)
}

// chatPrompt makes the prompt of a conversation.
func chatPrompt(j *job, o *llm.GenerateOptions) (all [][]int32, err error) {
	if j.turn, err = j.q.turn(j.l); err != nil {
		return nil, err
	}
	ids, err := j.turn.options(j.q, j.l, o)
	return [][]int32{ids}, err
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) error {
	return renamed(map[string]string{"messages": "prompt"}, s.generate(w, r, textForm, func(j *job, o *llm.GenerateOptions) ([][]int32, error) {
		want, err := j.q.wanted()
		if err != nil {
			return nil, err
		}
		if o.Form, err = want.form(j.l, "", func(g *grammar.Grammar) (*grammar.Grammar, error) { return g, nil }); err != nil {
			return nil, err
		}
		o.PromptLogprobs = j.q.Echo && o.Logprobs // what is echoed is a part of the text
		return prompts("prompt", j.q.Prompt, j.l)
	}))
}

// form is how answers of an endpoint are written.
type answerForm struct {
	prefix, object, chunk string
	chat                  bool
}

var (
	chatForm = answerForm{"chatcmpl-", "chat.completion", "chat.completion.chunk", true}
	textForm = answerForm{"cmpl-", "text_completion", "text_completion", false}
)

// job is a request that is being answered.
type job struct {
	answerForm
	q        *request
	l        *loaded
	id       string
	created  int64
	requests []llm.Request
	turn     *turn               // of a chat
	offsets  []int               // of each text: how many characters its tokens have that were described
	read     chan choiceProgress // how much of the prompts has been read; nil: nobody asks
}

// scores are the probabilities of the tokens that the piece has, those of a prompt before them.
func scores(p *llm.Piece) []*llm.Logprob {
	if p.Logprob == nil {
		return p.PromptLogprobs
	}
	return append(p.PromptLogprobs, p.Logprob)
}

// prepare makes the prompts of a request, and adds to the options what they need.
type prepare func(j *job, o *llm.GenerateOptions) (prompts [][]int32, err error)

// generate answers a request for texts.
func (s *Server) generate(w http.ResponseWriter, r *http.Request, f answerForm, p prepare) error {
	q := &request{}
	if err := readRequest(w, r, q); err != nil {
		return err
	}
	return s.run(r, q, f, p, func(j *job, texts *llm.Texts) error {
		if q.Stream {
			return j.stream(w, texts)
		}
		return j.whole(w, texts)
	})
}

// run generates the texts of a request, and has respond answer with them.
func (s *Server) run(r *http.Request, q *request, f answerForm, p prepare, respond func(j *job, texts *llm.Texts) error) error {
	return s.with(r, q.Model, func(l *loaded) error {
		o, err := q.options(l)
		if err != nil {
			return err
		}
		j := &job{answerForm: f, q: q, l: l, id: f.prefix + strconv.FormatUint(rand.Uint64(), 36), created: time.Now().Unix()}
		all, err := p(j, &o)
		if err != nil {
			return err
		}
		n := int(or(q.N, 1))
		if len(all)*n > most {
			return bad("n", "%d prompts with n %d: %d texts, want at most %d", len(all), n, len(all)*n, most)
		}
		for _, ids := range all {
			for range n {
				one := o
				one.Sampling.Seed += uint64(len(j.requests))
				j.requests = append(j.requests, llm.Request{Prompt: ids, Options: one})
			}
		}
		j.offsets = make([]int, len(j.requests))
		if q.Stream {
			j.readings()
		}
		texts, err := l.scheduler.Start(r.Context(), j.requests...)
		if err != nil {
			return err
		}
		defer texts.Close()
		return respond(j, texts)
	})
}

// usage counts tokens.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// timings are those of llama.cpp's server.
type timings struct {
	PromptN            int     `json:"prompt_n"`
	CacheN             int     `json:"cache_n"`
	PromptMS           float64 `json:"prompt_ms"`
	PredictedN         int     `json:"predicted_n"`
	PredictedMS        float64 `json:"predicted_ms"`
	PromptPerSecond    float64 `json:"prompt_per_second"`
	PredictedPerSecond float64 `json:"predicted_per_second"`
}

func (u *usage) add(s *llm.Stats) {
	u.Prompt += s.PromptTokens
	u.Completion += s.GeneratedTokens
	u.Total = u.Prompt + u.Completion
	u.Details.Cached += s.CachedTokens
}

// count adds the tokens of a text that has ended. Its prompt counts once, however many texts it has.
func (j *job) count(u *usage, p *llm.Piece) {
	s := p.Result.Stats
	if p.Index%int(or(j.q.N, 1)) > 0 {
		s.PromptTokens, s.CachedTokens = 0, 0
	}
	u.add(&s)
}

func timingsOf(s *llm.Stats) *timings {
	return &timings{
		PromptN: s.PromptTokens - s.CachedTokens, CacheN: s.CachedTokens, PromptMS: s.FirstToken.Seconds() * 1e3,
		PredictedN: s.GeneratedTokens, PredictedMS: (s.Duration - s.FirstToken).Seconds() * 1e3,
		PromptPerSecond: s.PromptSpeed, PredictedPerSecond: s.Speed,
	}
}

// reason names why a text ended.
func reason(f llm.Finish) string {
	if f == llm.FinishLength {
		return "length"
	}
	return "stop"
}

// response is an answer, or a part of one.
type response struct {
	ID          string    `json:"id"`
	Object      string    `json:"object"`
	Created     int64     `json:"created"`
	Model       string    `json:"model"`
	Fingerprint string    `json:"system_fingerprint"`
	Choices     []choice  `json:"choices"`
	Usage       *usage    `json:"usage,omitempty"`
	Timings     *timings  `json:"timings,omitempty"`
	Progress    *progress `json:"prompt_progress,omitempty"`
}

type choice struct {
	Index    int            `json:"index"`
	Message  *answerMessage `json:"message,omitempty"`
	Delta    *content       `json:"delta,omitempty"`
	Text     *string        `json:"text,omitempty"`
	Logprobs any            `json:"logprobs"`
	Finish   *string        `json:"finish_reason"`
}

// content is a part of a message in a stream.
type content struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	Calls     []callJSON `json:"tool_calls,omitempty"`

	FunctionCall *functionJSON `json:"function_call,omitempty"`
}

// answerMessage is a whole message. Content is null where there are only calls.
type answerMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	Calls     []callJSON `json:"tool_calls,omitempty"`

	FunctionCall *functionJSON `json:"function_call,omitempty"`
}

func (j *job) response(object string, choices ...choice) response {
	if choices == nil {
		choices = []choice{}
	}
	return response{ID: j.id, Object: object, Created: j.created, Model: j.l.ID, Fingerprint: j.l.Print, Choices: choices}
}

// whole answers with all texts at once.
func (j *job) whole(w http.ResponseWriter, texts *llm.Texts) error {
	choices, u := make([]choice, len(j.requests)), &usage{}
	var last *llm.Stats
	probabilities := make([][]*llm.Logprob, len(j.requests))
	err := j.follow(texts, nil, func(p *llm.Piece) {
		probabilities[p.Index] = append(probabilities[p.Index], scores(p)...)
		if p.Result != nil {
			choices[p.Index] = j.choice(p, probabilities[p.Index])
			last = &p.Result.Stats
			j.count(u, p)
		}
	})
	if err != nil {
		return err
	}
	r := j.response(j.object, choices...)
	if r.Usage = u; len(choices) == 1 {
		r.Timings = timingsOf(last)
	}
	answer(w, http.StatusOK, r)
	return nil
}

// choice is a text that has ended, with the probabilities of its tokens.
func (j *job) choice(p *llm.Piece, probabilities []*llm.Logprob) choice {
	text, finish := p.Result.Text, reason(p.Result.Finish)
	if j.q.Echo && !j.chat {
		text = j.l.scheduler.Model().Vocabulary().Tokenizer.Decode(p.Result.Prompt, true) + text
	}
	c := choice{Index: p.Index, Finish: &finish, Logprobs: j.logprobs(p.Index, probabilities)}
	if !j.chat {
		c.Text = &text
		return c
	}
	a := j.turn.answer(text)
	if len(a.Calls) > 0 && finish == "stop" {
		finish = j.q.callsFinish()
	}
	c.Message = messageOf(a, j.q.old())
	return c
}
