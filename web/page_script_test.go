package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// actor is a server with OpenAI's interface whose models say what a script has: what tiny cannot be made to say, at once.
type actor struct {
	*httptest.Server
	mu   sync.Mutex
	key  string        // that requests must have, "": none
	asks []ask         // the requests for answers so far
	read chan struct{} // closed: long prompts have been read
	cut  chan struct{} // closed: answers that break off do so
	next atomic.Bool   // the page is of another build
}

// ask is a request for an answer.
type ask struct {
	Model    string
	Messages []struct {
		Role, Content string
		Reasoning     string `json:"reasoning_content"`
		ToolCallID    string `json:"tool_call_id"`
		ToolCalls     []struct {
			ID       string
			Function struct{ Name, Arguments string }
		} `json:"tool_calls"`
	}
	Tools  []any
	Choice string `json:"tool_choice"`
	Effort string `json:"reasoning_effort"`
	GoOn   bool   `json:"continue_final_message"`
	Mirror int    `json:"mirostat"`

	TypicalP       float64 `json:"typical_p"`
	XTCProbability float64 `json:"xtc_probability"`
	DRYMultiplier  float64 `json:"dry_multiplier"`
	DynamicRange   float64 `json:"dynatemp_range"`
}

// act serves the page, and two models.
func act(t *testing.T, key string) *actor {
	t.Helper()
	page, err := url.Parse(theWorld(t).url)
	if err != nil {
		t.Fatal(err)
	}
	a := &actor{key: key, read: make(chan struct{}), cut: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(page) }})
	for _, name := range []string{"/sw.js", "/files.js"} {
		mux.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) { a.built(w, page.String()+name) })
	}
	answer := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if a.allowed(w, r) {
				_, _ = w.Write([]byte(body))
			}
		})
	}
	mux.HandleFunc("/models.json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"models":[{"name":"actor","title":"actor","bytes":1000,"format":"int4"},{"name":"understudy","title":"understudy","bytes":1000}]}`))
	})
	answer("/v1/models", `{"data":[{"id":"actor"},{"id":"understudy"}]}`)
	answer("/props", `{"chat":true,"device":"paper","default_generation_settings":{"n_ctx":100}}`)
	mux.HandleFunc("/v1/chat/completions", a.chat)
	mux.HandleFunc("/tokenize", func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Content string }
		_ = json.NewDecoder(r.Body).Decode(&q) // the page writes it
		_ = json.NewEncoder(w).Encode(map[string]any{"tokens": make([]int, len(strings.Fields(q.Content)))})
	})
	mux.HandleFunc("/tracker.png", func(http.ResponseWriter, *http.Request) { t.Error("the page loads what a model wrote") })
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

// built answers with a file of the page, or what it is in the next build.
func (a *actor) built(w http.ResponseWriter, url string) {
	r, err := http.Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if a.next.Load() {
		text = append(bytes.Replace(text, []byte(`const version = "`), []byte(`const version = "next-`), 1), "// next\n"...)
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(text) // fails only if the client has gone
}

// allowed refuses requests without the key.
func (a *actor) allowed(w http.ResponseWriter, r *http.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.key == "" || r.Header.Get("Authorization") == "Bearer "+a.key {
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"error":{"message":"the key is wrong"}}`))
	return false
}

// setKey changes the key.
func (a *actor) setKey(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.key = key
}

// last returns the last request for an answer.
func (a *actor) last(t *testing.T) ask {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asks) == 0 {
		t.Fatal("nobody has asked")
	}
	return a.asks[len(a.asks)-1]
}

// lines are what the script has for what was said last: choices of chunks, as JSON.
var lines = map[string][]string{
	"Weather?": {
		`{"delta":{"role":"assistant","content":""}}`, `{"delta":{"reasoning_content":"They want "}}`, `{"delta":{"reasoning_content":"**both** cities."}}`,
		`{"delta":{"tool_calls":[{"index":0,"id":"call-a","type":"function","function":{"name":"get_weather","arguments":""}}]}}`,
		`{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}`, `{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Graz\"}"}}]}}`,
		`{"delta":{"tool_calls":[{"index":1,"id":"call-b","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Wien\"}"}}]}}`,
		`{"delta":{},"finish_reason":"tool_calls"}`,
	},
	"wet\ndry": {`{"delta":{"content":"Graz is wet, "}}`, `{"delta":{"content":"Wien is dry."}}`, `{"delta":{},"finish_reason":"stop"}`},
	"Table?": {
		`{"delta":{"content":"| A | B | C | D |\n|-|-|-|-|\n| aaaaaaaaaaaaaaaa | bbbbbbbbbbbbbbbbbbbb | cccccccccccccccccccc | dddddddddddddddd |\n\n"}}`,
		`{"delta":{"content":"` + "```json\\n[ \\\"code that goes on and on, beyond the edge of any phone that there is\\\" ]\\n```" + `"}}`, `{"delta":{},"finish_reason":"stop"}`,
	},
	"Arabic?":  {`{"delta":{"content":"1. أولا\n2. ثانيا\n\n- عنصر\n\n> اقتباس\n\n| الاسم | القيمة |\n|-|-|\n| ألف | 1 |"}}`, `{"delta":{},"finish_reason":"stop"}`},
	"Formula?": {`{"delta":{"content":"$$` + strings.Repeat("x_i + ", 200) + `y$$"}}`, `{"delta":{},"finish_reason":"stop"}`},
	"Code?":    {`{"delta":{"content":"Here:\n\n` + "```go\\nfmt.Println(\\\"hello\\\") // says it\\n```" + `"}}`, `{"delta":{},"finish_reason":"stop"}`},
}

// chat answers by the script.
func (a *actor) chat(w http.ResponseWriter, r *http.Request) {
	if !a.allowed(w, r) {
		return
	}
	var q ask
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Messages) == 0 {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.asks = append(a.asks, q)
	a.mu.Unlock()
	said := q.Messages[len(q.Messages)-1].Content
	for i := len(q.Messages) - 2; q.Messages[i+1].Role == "tool" && q.Messages[i].Role == "tool"; i-- { // what several tools have returned
		said = q.Messages[i].Content + "\n" + said
	}
	send := func(text string) {
		fmt.Fprintf(w, "data: %s\n\n", text)
		_ = http.NewResponseController(w).Flush()
	}
	switch said {
	case "Too long":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":{"message":"the prompt is too long: it has 200 tokens, and the context 100"}}`))
		return
	case "Busy":
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case "Garbage":
		send(`{"choices":[{"delta":{"content":"It was"}}]}`)
		send(`<html>502 Bad Gateway</html>`)
		return
	case "Gone":
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":{"message":"there is no model \"actor\""}}`))
		return
	case "Ponder":
		if q.GoOn {
			break
		}
		for r.Context().Err() == nil {
			send(`{"choices":[{"delta":{"reasoning_content":"Hm. "}}]}`)
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return
	case "Forever":
		for i := 0; r.Context().Err() == nil; i++ {
			send(fmt.Sprintf(`{"choices":[{"delta":{"content":"word%d "}}]}`, i))
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return
	case "Break off":
		send(`{"choices":[{"delta":{"content":"It was"}}]}`)
		<-a.cut
		panic(http.ErrAbortHandler)
	case "Long":
		send(`{"choices":[],"prompt_progress":{"processed":2048,"total":6000}}`)
		<-a.read
	}
	script, ok := lines[said]
	if q.GoOn {
		script, ok = []string{`{"delta":{"content":" and **so on**."}}`, `{"delta":{},"finish_reason":"stop"}`}, true
	}
	if !ok {
		text, _ := json.Marshal(q.Model + " hears: " + said) // a string can always be written
		script = []string{`{"delta":{"content":` + string(text) + `}}`, `{"delta":{},"finish_reason":"stop"}`}
	}
	for _, choice := range script {
		send(`{"choices":[` + choice + `]}`)
	}
	send(`{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}`)
	send("[DONE]")
}

// meet opens the page of the actor and chooses a model.
func meet(t *testing.T, a *actor) *visitor {
	t.Helper()
	v := visitAt(t, a.URL, patience, chromedp.Flag("disable-features", "WebGPUService,WebGPU"))
	v.do(state("empty"))
	return v
}

// onServer chooses a model that the server runs.
func onServer(name string) chromedp.Action {
	pick := fmt.Sprintf("Array.from(document.querySelectorAll('#model-list .open')).find((b) => b.textContent.startsWith(%q))", name)
	return chromedp.Tasks{
		chromedp.Evaluate("document.querySelector('#picker').open || document.querySelector('#model').click()", nil), chromedp.WaitVisible("#picker"),
		chromedp.Evaluate("document.querySelector('input[name=where][value=server]').click()", nil), until(pick), chromedp.Evaluate(pick+".click()", nil), state("ready"),
	}
}

// hear sends a message, and waits for an answer.
func hear(message, want string) chromedp.Action {
	return chromedp.Tasks{send(message), until("document.querySelector('#message').value === ''"), state("ready"), until(fmt.Sprintf("document.querySelector('.assistant.last .body')?.textContent === %q", want))}
}

// TestPageTools has a model call tools: the calls are shown under folded thoughts, what is typed in goes back, the answer goes on.
func TestPageTools(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	v.do(onServer("actor"), chromedp.Click("#tools-mode"), chromedp.WaitVisible("#tools"), until("document.activeElement.id === 'tools'"), set("toolChoice", "required"), set("reasoningEffort", "xhigh"),
		set("typicalP", "0.9"), set("xtcProbability", "0.5"), set("dryMultiplier", "0.8"), set("dynamicTemperatureRange", "0.25"), picture(t, "settings"), chromedp.Click("#close-settings"))
	v.do(send("Weather?"), until("document.querySelector('.assistant .thoughts')?.textContent === 'They want both cities.'"), state("ready"), settled())
	q := a.last(t)
	if len(q.Tools) != 1 || q.Choice != "required" || q.Effort != "xhigh" || q.TypicalP != .9 || q.XTCProbability != .5 || q.DRYMultiplier != .8 || q.DynamicRange != .25 {
		t.Errorf("the page asks for %+v", q)
	}
	if v.is("document.querySelector('.assistant .thinking').open || !/^Thought for/.test(document.querySelector('.assistant .thinking summary').textContent)") {
		t.Errorf("thoughts are not folded: %q", v.text(".assistant .thinking summary"))
	}
	calls := v.text(".calls")
	if want := "get_weather{\n  \"city\": \"Graz\"\n}get_weather{\n  \"city\": \"Wien\"\n}Send results"; calls != want {
		t.Errorf("the calls are shown as %q, want %q", calls, want)
	}
	v.do(picture(t, "tools"), chromedp.SendKeys(".call:nth-of-type(1) textarea", "wet"), chromedp.Click("#new-chat"), until("document.querySelector('.calls') === null"), chromedp.Click("#conversations .open"), until("document.querySelector('.call textarea')?.value === 'wet'"), chromedp.SendKeys(".call:nth-of-type(2) textarea", "dry"), chromedp.Click(".calls button"),
		until("document.querySelectorAll('.assistant').length === 2"), state("ready"))
	v.do(until("document.querySelector('.assistant.last .body').textContent === 'Graz is wet, Wien is dry.'"))
	m := a.last(t).Messages
	if len(m) != 4 || len(m[1].ToolCalls) != 2 || m[1].ToolCalls[1].ID != "call-b" || m[2].ToolCallID != "call-a" || m[3].ToolCallID != "call-b" {
		t.Errorf("the results are sent as %+v", m)
	}
	if v.is("document.querySelectorAll('.calls textarea').length > 0") {
		t.Error("calls that have results can be answered once more")
	}
	v.do(chromedp.Click("#new-chat"), chromedp.Click("#tools-mode"))
	v.do(send("Code?"), until("document.querySelector('.code .string')"), state("ready"), picture(t, "code"))
}

// TestPageKey gives a key to a server that wants one, and another one when that has changed. It is kept as long as the tab is open.
func TestPageKey(t *testing.T) {
	t.Parallel()
	a := act(t, "open sesame")
	v := meet(t, a)
	give := func(key string) chromedp.Action {
		return chromedp.Tasks{chromedp.WaitVisible("#key-form"), set("key", key), chromedp.Click("#key-form button")}
	}
	v.do(chromedp.Click("#model"), chromedp.WaitVisible("#picker"), chromedp.Evaluate("document.querySelector('input[name=where][value=server]').click()", nil), give("wrong"),
		until("document.querySelector('#where-text').textContent.includes('rejected this key')"), picture(t, "key"), give("open sesame"), until("document.querySelector('#key-form').hidden"), onServer("actor"), hear("Hello", "actor hears: Hello"))
	a.setKey("another")
	v.do(send("Still there?"), until("document.querySelector('#picker').open"), give("another"), until("document.querySelector('#key-form').hidden"), chromedp.Click("#close-picker"), hear("And now?", "actor hears: Still there?And now?"),
		chromedp.Reload(), state("ready"), hear("Again", "actor hears: Again"))
	if v.is("JSON.stringify(Object.entries(localStorage)).includes('another') || document.cookie !== '' || sessionStorage.getItem('llama-webgpu-key') !== 'another'") {
		t.Error("the key is kept for longer than the tab is open, or not for that long")
	}
}

// TestPageFailures has answers of the server fail: each time the page says why, and can go on, also with another model.
func TestPageFailures(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	v.do(onServer("actor"), chromedp.Evaluate(`seen = []; new MutationObserver(() => seen.push(document.querySelector('.assistant.last .status')?.textContent)).observe(document.querySelector('#messages'), { childList: true, subtree: true })`, nil),
		send("Long"), until("seen.some((s) => s?.startsWith('Reading the prompt: 2,048 of 6,000 tokens'))"), picture(t, "progress"))
	close(a.read)
	v.do(state("ready"))
	for said, want := range map[string]string{"Garbage": "not an answer: <html>", "Gone": "There is no model", "Too long": "The prompt is too long: it has 200 tokens, and the context 100. Begin a new chat, shorten this one.", "Busy": "too much to do", "Break off": "broke off"} {
		v.do(chromedp.Click("#new-chat"), send(said))
		if said == "Break off" {
			v.do(until("document.querySelector('.assistant.last .body')?.textContent === 'It was'"))
			close(a.cut)
		}
		v.do(until("document.querySelector('.assistant.last .note.bad') !== null"), state("ready"))
		if note := v.text(".assistant.last .note.bad"); !strings.Contains(note, want) {
			t.Errorf("%s: it says %q, want %q", said, note, want)
		}
		if said == "Break off" && v.text(".assistant.last .body") != "It was" {
			t.Error("what came of an answer that broke off is not shown any more")
		}
	}
	v.do(picture(t, "failed"), chromedp.Click("#new-chat"), hear("Hello", "actor hears: Hello"), onServer("understudy"), hear("Go on", "understudy hears: Go on"))
	if record := v.text(".assistant.last .record"); !strings.HasPrefix(record, "understudy · server") {
		t.Errorf("of the answer it says %q", record)
	}
	v.do(chromedp.Evaluate("document.querySelectorAll('.user')[document.querySelectorAll('.user').length - 1].querySelector('[aria-label=Edit]').click()", nil), chromedp.SetValue(".editor textarea", "Busy"), chromedp.Click(".editor .main"), state("ready"),
		chromedp.Evaluate("document.querySelector('.user.message:nth-last-child(2) [aria-label=\"Previous version\"]').click()", nil), until("document.querySelector('.assistant.last .body').textContent === 'understudy hears: Go on'"))
}

// TestPageLooks turns the switch of colors, and looks at names for screen readers.
func TestPageLooks(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	v.do(onServer("actor"), chromedp.Click("#open-settings"), chromedp.Evaluate("document.querySelector('input[name=theme][value=dark]').click()", nil), picture(t, "settings-dark"), chromedp.Click("#close-settings"))
	dark := "getComputedStyle(document.body).backgroundColor === 'rgb(23, 23, 28)'"
	if !v.is(dark) {
		t.Error("the page is not dark")
	}
	v.do(chromedp.Reload(), state("ready"))
	if !v.is(dark) {
		t.Error("after a reload, the page is not dark")
	}
	v.do(send("Weather?"), until("document.querySelector('.calls')"), state("ready"), chromedp.Evaluate("document.querySelector('.assistant .thinking').open = true", nil), picture(t, "dark"),
		chromedp.Click("#new-chat"), send("Code?"), until("document.querySelector('.code .string')"), state("ready"), picture(t, "code-dark"))
	var nameless []string
	v.do(chromedp.Evaluate(`Array.from(document.querySelectorAll('button, input:not([type=file]), select, textarea, [role=region], dialog, nav, article'), (e) => {
		const by = (e.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join('');
		const label = Array.from(e.labels ?? [], (l) => l.textContent).join('');
		const own = e.matches('button') ? e.textContent : '';
		return (e.getAttribute('aria-label') ?? '') + by + label + own + e.title === '' ? e.outerHTML.slice(0, 120) : '';
	}).filter(Boolean)`, &nameless))
	for _, n := range nameless {
		t.Errorf("without a name: %s", n)
	}
	var ids []string
	v.do(chromedp.Evaluate("Array.from(document.querySelectorAll('[id]'), (e) => e.id)", &ids))
	slices.Sort(ids)
	for i := range ids[1:] {
		if ids[i] == ids[i+1] {
			t.Errorf("the id %s is there twice", ids[i])
		}
	}
}

// TestPageAccess has axe look at the page in its states, light and dark, for what keeps people with screen readers or weak eyes out.
func TestPageAccess(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	require(t, err == nil, "axe-core is missing: npm ci")
	v := meet(t, act(t, ""))
	look := func(what string) {
		t.Helper()
		var found []string
		v.do(chromedp.Evaluate(`axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.flatMap((x) => x.nodes.map((n) => x.id + ': ' + n.html.slice(0, 200) + ': ' + n.failureSummary)))`, &found, awaited))
		for _, f := range found {
			t.Errorf("%s: %s", what, f)
		}
	}
	v.do(chromedp.Evaluate(string(axe)+";1", nil), until("document.querySelectorAll('.offer').length > 0"))
	look("at first")
	v.do(onServer("actor"), hear("Hello", "actor hears: Hello"), send("Table?"), until("document.querySelector('.scroller table')"), state("ready"), send("Formula?"), until("document.querySelector('.math mrow')"), state("ready"), send("Weather?"), until("document.querySelector('.calls')"), state("ready"))
	look("a chat")
	v.do(chromedp.Click("#open-settings"), chromedp.WaitVisible("#system"))
	look("settings")
	v.do(chromedp.Evaluate("document.querySelector('input[name=theme][value=dark]').click()", nil))
	look("settings, dark")
	v.do(chromedp.Click("#close-settings"))
	look("a chat, dark")
	v.do(chromedp.Click("#model"), chromedp.WaitVisible("#picker"))
	look("models, dark")
	v.do(chromedp.Click("#close-picker"), press("/"), chromedp.WaitVisible("#shortcuts"))
	look("shortcuts, dark")
	v.do(chromedp.Evaluate("document.querySelector('#shortcuts').close()", nil), chromedp.Click("#tab-measure"), until("document.querySelector('#generate')"))
	look("the panel that measures, dark")
}

// TestPageLongChat shows a long chat with calls, code and a table on a phone, without motion: it fits, and ends in view.
func TestPageLongChat(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	v.do(emulation.SetDeviceMetricsOverride(390, 844, 2, true), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}), onServer("actor"))
	fits := func(what string) {
		t.Helper()
		if v.is("document.documentElement.scrollWidth > innerWidth") {
			t.Errorf("with %s, the page is wider than a phone", what)
		}
	}
	for i := range 12 {
		v.do(hear(fmt.Sprintf("Question %d", i), fmt.Sprintf("actor hears: Question %d", i)))
	}
	v.do(until("(() => { const s = document.querySelector('#scroller'); return s.scrollHeight > 1.5 * s.clientHeight && s.scrollHeight - s.scrollTop - s.clientHeight < 2 })()"),
		picture(t, "phone-long"))
	fits("a long chat")
	v.do(send("Table?"), until("document.querySelector('.scroller table') !== null"), state("ready"), picture(t, "phone-table"))
	fits("a wide table and long lines of code")
	v.do(send("Weather?"), until("document.querySelector('.calls') !== null"), state("ready"), picture(t, "phone-tools"))
	fits("calls of tools")
	var moving []string
	v.do(chromedp.Evaluate("document.getAnimations().filter((a) => a.playState === 'running').map((a) => a.animationName ?? a.transitionProperty)", &moving))
	if len(moving) > 0 {
		t.Errorf("in spite of reduced motion there are %v", moving)
	}
	v.do(chromedp.Evaluate("document.querySelector('#scroller').scrollTop = 0", nil), chromedp.WaitVisible("#to-end"), chromedp.Click("#to-end"), until("document.querySelector('#to-end').hidden"))
}
