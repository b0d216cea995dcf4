package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// visitor uses the page as a person would.
type visitor struct {
	t   *testing.T
	ctx context.Context
	w   *world
}

// patience is how long a test may take, longPatience a suite: software renders, and the machine may be slow or busy. Tests
// wait for what is to happen, so only those that fail take that long.
const (
	patience     = 10 * time.Minute
	longPatience = 30 * time.Minute
)

// visit opens the page in a browser of its own.
func visit(t *testing.T, limit time.Duration, options ...chromedp.ExecAllocatorOption) *visitor {
	t.Helper()
	return visitAt(t, theWorld(t).url, limit, options...)
}

// visitAt opens the page as another server has it.
func visitAt(t *testing.T, url string, limit time.Duration, options ...chromedp.ExecAllocatorOption) *visitor {
	t.Helper()
	w := theWorld(t)
	tab := browser(t, append(options, chromedp.WindowSize(1180, 900))...)
	if err := chromedp.Run(tab); err != nil { // here, for a browser that is begun with a limit ends with it, and tells nothing any more
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab, limit)
	t.Cleanup(cancel)
	v := &visitor{t, ctx, w}
	v.do(chromedp.Navigate(url), scheme("light"))
	return v
}

func (v *visitor) do(actions ...chromedp.Action) {
	v.t.Helper()
	if err := chromedp.Run(v.ctx, actions...); err != nil {
		var state string
		late, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), time.Minute)
		defer cancel()
		_ = chromedp.Run(late, chromedp.Evaluate(`document.body.dataset.state + ': ' + document.body.innerText`, &state))
		v.t.Fatalf("%v\nthe page is %s", err, state)
	}
}

// text returns the text of an element.
func (v *visitor) text(selector string) (text string) {
	v.t.Helper()
	v.do(chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector), &text))
	return text
}

// is evaluates a condition.
func (v *visitor) is(condition string) (yes bool) {
	v.t.Helper()
	v.do(chromedp.Evaluate("Boolean("+condition+")", &yes))
	return yes
}

// state waits for one. What a click or a key begins has begun when the browser has told of it: there is no need to wait for
// that, nor a chance to see it if it is over soon.
func state(s string) chromedp.Action {
	return chromedp.WaitReady(`body[data-state="`+s+`"]`, chromedp.ByQuery)
}

// until waits for a condition, also on a page that is being loaded anew.
func until(condition string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := chromedp.Poll(condition, nil, chromedp.WithPollingTimeout(0)).Do(ctx)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "Cannot find context with specified id") {
				return err
			}
		}
	})
}

func scheme(name string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}})
}

// set changes a setting.
func set(id, value string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event('input')); }`, id, value), nil)
}

// send writes a message and presses Enter. The events of chromedp would put a line's end into the field all the same.
func send(message string) chromedp.Action {
	return chromedp.Tasks{
		set("message", message),
		chromedp.Evaluate("document.querySelector('#message').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))", nil),
	}
}

// address enters the address of a bundle.
func address(url string) chromedp.Action {
	return chromedp.Tasks{
		chromedp.Click("#model"), chromedp.WaitVisible("#picker"), chromedp.Evaluate("document.querySelector('input[name=where][value=gpu]').click()", nil),
		set("url", url), chromedp.Click("#address-form button"),
	}
}

// load loads a bundle by its address, to the end.
func (v *visitor) load(path string) {
	v.t.Helper()
	v.do(address(v.w.url+path), state("ready"))
}

// say sends a message and returns what the page shows of the whole conversation when it has been answered.
func (v *visitor) say(message string) string {
	v.t.Helper()
	v.do(send(message), until("document.querySelector('#message').value === ''"), state("ready"))
	return v.conversation()
}

// conversation returns the texts of the messages, each after its role.
func (v *visitor) conversation() string {
	v.t.Helper()
	var text string
	v.do(until("Array.from(document.querySelectorAll('.assistant .body')).every((b) => b.textContent !== '')"), settled(),
		chromedp.Evaluate(`Array.from(document.querySelectorAll('.message'), (m) =>
		(m.classList.contains('user') ? 'user: ' : 'model: ') + m.querySelector('.body').textContent).join('\n')`, &text))
	return text
}

// settled waits until what a message has is shown. A piece of an answer is drawn in a frame up to 50 ms after the one before, or
// three times as long as that one took; a timer of the page's that is due later than its own runs later, however slow it is.
func settled() chromedp.Action {
	return chromedp.Evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(() => done(true))), 300))", nil, awaited)
}

// undo takes back what was done last, however long ago the page has offered it.
func undo() chromedp.Action {
	return chromedp.Tasks{
		until("document.querySelector('#toast button') !== null"),
		chromedp.Evaluate("{ const b = document.querySelector('#toast button'); b.click(); b.remove(); }", nil),
	}
}

// talker is the address of a model with a chat template: it goes on where the conversation ends.
const talker = "/bad/chat/plain/"

// TestPage loads models, a damaged one too, and uses the panel that measures. Screenshots are in ../build/screenshots.
func TestPage(t *testing.T) {
	t.Parallel()
	v := visit(t, patience, withGPU()...)
	v.do(state("empty"), until("document.querySelectorAll('.offer').length > 2"), picture(t, "empty"))
	if !v.is("document.querySelector('#scroller').scrollHeight === Math.max(document.querySelector('#scroller').clientHeight, document.querySelector('#hero').offsetHeight)") {
		t.Error("a chat without messages scrolls further than to the end of what it offers")
	}
	v.do(address(v.w.url+"/bad/slow/int8/manifest.json"), state("loading"), until("document.querySelector('#progress').value > 0"), picture(t, "loading"),
		chromedp.Click("#cancel"), state("empty"))
	v.do(chromedp.Evaluate("navigator.storage.persist = async () => true", nil))
	v.load("/models/plain/manifest.json")
	if name := v.text("#model"); !strings.HasPrefix(name, "plain") {
		t.Errorf("the loaded model is called %q", name)
	}
	v.do(chromedp.Click("#open-card"), until("document.querySelector('#facts').textContent.includes('until you remove it')"), picture(t, "card"),
		chromedp.Click("#close-card"), set("temperature", "0"), set("maxTokens", "40"), chromedp.Click("#tab-measure"), until("document.querySelector('#generate')?.disabled === false"))
	v.measure()
	v.do(enter("#generate"), until("document.activeElement.id === 'measure-stop' && document.querySelector('#tune-stop').disabled"), chromedp.KeyEvent(kb.Enter), until("document.activeElement.id === 'generate'"), state("ready"))
	v.do(chromedp.Click("#parity"), state("ready"), picture(t, "measure"))
	if said := v.text("#parity-result"); !strings.Contains(said, "equal up to rounding") {
		t.Errorf("the parity check says %q", said)
	}
	v.do(chromedp.Click("#tune"), until("document.querySelector('#tune-now').textContent.startsWith('1 of')"), chromedp.Click("#tune-stop"),
		until("document.querySelector('#tune-now').textContent === 'Stopped. What was found until then is kept.'"), state("ready"))
	newer := "new Promise((done) => { const open = indexedDB.open('llama-webgpu-tuning', 2); open.onsuccess = () => { open.result.close(); done(true) } })" // which nothing older can open
	v.do(chromedp.Evaluate(newer, nil, awaited), chromedp.Click("#tune"), until("document.querySelector('#tune-now').textContent.startsWith('1 of')"), chromedp.Click("#tune-stop"),
		until("document.querySelector('#tune-now').textContent.startsWith('Stopped. What was found until then is not kept. It could not be stored: ')"), state("ready"))
	v.do(address(v.w.url+"/bad/flip/plain/manifest.json"), state("ready"), chromedp.WaitVisible("#alert"), picture(t, "error"))
	if said := v.text("#alert-text"); !strings.Contains(said, "sha256") {
		t.Errorf("of a damaged model the page says %q", said)
	}
	if name := v.text("#model"); !strings.HasPrefix(name, "plain") || v.is("document.querySelector('#generate').disabled") {
		t.Errorf("after one that is damaged, the model is called %q, or cannot be used", name)
	}
	v.load("/models/int8/manifest.json")
	if name := v.text("#model"); !strings.HasPrefix(name, "int8") {
		t.Errorf("the next model is called %q", name)
	}
	if v.is("document.querySelector('#rate').textContent !== '–' || document.querySelector('#output').textContent || !document.querySelector('#parity-result').hidden || !document.querySelector('#chart-figure').hidden") {
		t.Error("what was measured of the first model is shown with the second")
	}
}

// measure has the panel continue the text that the native program has continued, and compares.
func (v *visitor) measure() {
	v.t.Helper()
	v.do(chromedp.Focus("#prompt"), chromedp.KeyEvent("\r", chromedp.KeyModifiers(2)), until("Number(document.querySelector('#count').textContent) > 20"),
		chromedp.KeyEvent(kb.Escape), state("ready"))
	var want struct {
		Models map[string]struct{ Text string }
	}
	if err := json.Unmarshal(v.w.expected, &want); err != nil {
		v.t.Fatal(err)
	}
	if text := v.text("#output"); !strings.HasPrefix(text, prompt+want.Models["plain"].Text) {
		v.t.Errorf("the page writes %q, want a text that begins with %q", text, prompt+want.Models["plain"].Text)
	}
	var bars int
	v.do(chromedp.Evaluate("document.querySelectorAll('#chart rect').length", &bars))
	if rate := v.text("#rate"); bars < 19 || rate == "–" {
		v.t.Errorf("%d bars in the chart, %s tokens/s", bars, rate)
	}
}

// TestPageChats has a conversation: answers depend on what was said, can be generated again, and are there after a reload.
func TestPageChats(t *testing.T) {
	t.Parallel()
	v := visit(t, patience, withGPU()...)
	v.do(state("empty"), set("temperature", "0"), set("maxTokens", "6"))
	v.load(talker)
	first := v.say("It was a cold morning")
	second := v.say("She said")
	if !strings.HasPrefix(first, "user: It was a cold morning\nmodel: ") || !strings.HasPrefix(second, first+"\nuser: She said\nmodel: ") {
		t.Fatalf("first %q, then %q", first, second)
	}
	v.do(until("/of context · .*tokens\\/s/.test(document.querySelector('#context-text').textContent)"))
	v.do(chromedp.Click("#new-chat"))
	if alone := v.say("She said"); strings.HasSuffix(second, alone) {
		t.Errorf("a new chat goes on with the old one: %q", alone)
	}
	v.do(until("document.querySelectorAll('#conversations .open').length === 2"), chromedp.Evaluate("document.querySelectorAll('#conversations .open')[1].click()", nil))
	if again := v.conversation(); again != second {
		t.Errorf("the first chat is %q, was %q", again, second)
	}
	v.branches(second)
	v.do(chromedp.Reload(), state("ready")) // the model is in the browser's cache
	if kept := v.conversation(); kept != second {
		t.Errorf("after a reload the chat is %q, was %q", kept, second)
	}
	v.sidebar()
}

// branches edits a message, and comes back to what was before.
func (v *visitor) branches(before string) {
	v.t.Helper()
	button := func(message, label string) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf(`document.querySelectorAll('.message')[%s].querySelector('[aria-label=%q]').click()`, message, label), nil)
	}
	v.do(button("0", "Edit"), chromedp.SetValue(".editor textarea", "The sea was calm"), chromedp.Click(".editor .main"), state("ready"))
	if now := v.conversation(); !strings.HasPrefix(now, "user: The sea was calm\nmodel: ") || strings.Contains(now, "She said") {
		v.t.Errorf("an edited message makes the chat %q", now)
	}
	v.do(button("1", "Generate again"), state("ready"))
	if count := v.text(".assistant .turner span"); count != "2 / 2" {
		v.t.Errorf("the second answer is %q", count)
	}
	v.do(button("0", "Previous version"))
	if now := v.conversation(); now != before {
		v.t.Errorf("the version before is %q, was %q", now, before)
	}
}

// sidebar renames a conversation, deletes it and brings it back.
func (v *visitor) sidebar() {
	v.t.Helper()
	menu := func(entry string) chromedp.Action {
		return chromedp.Tasks{chromedp.Evaluate("document.querySelector('#conversations .current .tool').click()", nil), chromedp.Click("#menu-" + entry)}
	}
	v.do(menu("rename"), chromedp.SetValue("#conversations input", "Of the sea"), chromedp.SendKeys("#conversations input", kb.Enter),
		until("document.querySelector('#conversations .current')?.textContent === 'Of the sea'"), picture(v.t, "chat"))
	v.do(menu("delete"), until("!document.querySelector('#conversations').textContent.includes('Of the sea')"), undo(),
		until("document.querySelector('#conversations .current')?.textContent === 'Of the sea'"))
}

// TestPageLongPrompts sends a prompt that is taller than the page, whose answer is scrolled to; stops one; and sends one that
// is longer than the context.
func TestPageLongPrompts(t *testing.T) {
	t.Parallel()
	v := visit(t, patience, withGPU()...)
	v.do(state("empty"), set("temperature", "0"), set("maxTokens", "4"))
	v.load(talker)
	tall := strings.Repeat("It was a cold morning.\n", 45) // more than a chunk of 256 tokens
	v.do(chromedp.Evaluate(`seen = []; new MutationObserver(() => {
		const e = document.querySelector('.assistant.last .status');
		if (e && !e.hidden) seen.push(e.textContent);
	}).observe(document.querySelector('#messages'), { childList: true, subtree: true })`, nil))
	v.do(set("message", tall), chromedp.Click("#send"), picture(t, "reading"), state("ready"))
	if !v.is("seen.some((s) => /Reading the prompt: \\d+ of \\d+ tokens/.test(s))") {
		t.Errorf("while it reads the prompt, it says %q", v.text("body"))
	}
	const seen = `{ const r = document.querySelector('.assistant .body').getBoundingClientRect(); r.height > 0 && r.bottom <= document.querySelector('#composer').getBoundingClientRect().top; }`
	v.do(until("eval(`" + seen + "`)"))
	v.do(set("maxTokens", ""), send("More"), until("document.querySelectorAll('.assistant .body')[1]?.textContent.length > 4"),
		chromedp.KeyEvent(kb.Escape), state("ready"))
	if note := v.text(".assistant.last .note"); note != "Stopped." {
		t.Errorf("of an answer that was stopped it says %q", note)
	}
	v.do(set("message", strings.Repeat(tall, 40)), chromedp.Click("#send"), state("ready"), picture(t, "too-long"))
	if note := v.text(".assistant.last .note"); !strings.Contains(note, "context") {
		t.Errorf("of a prompt that is too long it says %q", note)
	}
}

// TestPageFolder opens a bundle from a directory of the disk.
func TestPageFolder(t *testing.T) {
	t.Parallel()
	v := visit(t, patience, withGPU()...)
	v.do(state("empty"), chromedp.SetUploadFiles("#folder", []string{filepath.Join(v.w.models, "plain")}, chromedp.ByQuery), state("ready"))
	if name := v.text("#model"); !strings.HasPrefix(name, "plain") {
		t.Errorf("the model is called %q", name)
	}
	v.do(set("maxTokens", "4"))
	if text := v.say("It was a"); !strings.HasPrefix(text, "user: It was a\nmodel: ") || strings.HasSuffix(text, "model: ") {
		t.Errorf("the model writes %q", text)
	}
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "model.safetensors"), []byte("weights"), 0o666); err != nil {
		t.Fatal(err)
	}
	v.do(chromedp.SetUploadFiles("#folder", []string{empty}, chromedp.ByQuery), chromedp.WaitVisible("#alert"))
	if said := v.text("#alert-text"); !strings.Contains(said, "llama-webgpu quantize") {
		t.Errorf("of a checkpoint it says %q", said)
	}
}

// TestPageServer chats with a model that the server runs, in a browser without WebGPU. The bundle is made after the server
// has begun.
func TestPageServer(t *testing.T) {
	t.Parallel()
	v := visit(t, patience, chromedp.Flag("disable-features", "WebGPUService,WebGPU"), chromedp.Flag("disable-blink-features", "WebGPU"))
	v.do(state("empty"))
	dir := filepath.Join(v.w.models, "late")
	if err := talking(filepath.Join(v.w.models, "plain"), dir); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	v.do(chromedp.Click("#model"), chromedp.WaitVisible("#picker"), picture(t, "server"))
	if text := v.text("#missing"); !strings.Contains(text, "Chrome") || !strings.Contains(text, "Firefox") || !strings.Contains(text, "Safari") || v.is("document.querySelector('input[name=where][value=gpu]').checked") {
		t.Errorf("the server is not offered, or of WebGPU it says %q", text)
	}
	v.do(chromedp.Evaluate("document.querySelector('input[name=where][value=gpu]').click()", nil), chromedp.WaitVisible("#missing"), picture(t, "missing"),
		chromedp.Evaluate("document.querySelector('input[name=where][value=server]').click()", nil))
	v.do(until("document.querySelector('#model-list').textContent.includes('late')"),
		chromedp.Evaluate("Array.from(document.querySelectorAll('#model-list .open')).find((b) => b.textContent.startsWith('late')).click()", nil),
		state("ready"), set("maxTokens", "6"), set("temperature", "0"))
	if name := v.text("#model"); name != "lateint4 · server" {
		t.Errorf("the model is called %q", name)
	}
	text := v.say("It was a cold morning")
	if !strings.HasPrefix(text, "user: It was a cold morning\nmodel: ") || strings.HasSuffix(text, "model: ") {
		t.Errorf("the chat is %q", text)
	}
	if record := v.text(".record"); !strings.HasPrefix(record, "late · server · 6 tokens · ") {
		t.Errorf("of the answer it says %q", record)
	}
	v.do(chromedp.Click("#json-mode"), set("maxTokens", "40"))
	if text := v.say("And so"); !strings.Contains(text, "model: {") {
		t.Errorf("in JSON mode it writes %q", text)
	}
	v.do(chromedp.Click("#json-mode"), chromedp.Click("#new-chat"), set("maxTokens", "90"), set("temperature", "0.6"), set("seed", "3"), set("repeatPenalty", "1.1"))
	v.say(prompt)
	v.say("In the evening")
	v.do(picture(t, "page")) // make picture: docs/page.png
}

// talking copies a bundle and gives it a chat template.
func talking(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	name := filepath.Join(to, "manifest.json")
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, withTemplate(data, chatTemplate), 0o666)
}

// hostile is Markdown that would do harm in a page that trusts it.
var hostile = []string{
	"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<iframe src=https://x.y></iframe>", "a <b onclick=alert(1)>b</b>",
	"[a](javascript:alert(1))", "[a](java\nscript:alert(1))", "[a](&#106;avascript:alert(1))", "[a](data:text/html,<script>alert(1)</script>)", "<javascript:alert(1)>",
	"![a](https://x.y/z.png)", "![a](javascript:alert(1))", "[a]: javascript:alert(1)\n\n[a]", "[x](https://x.y 'a\" onmouseover=\"alert(1)')", "<style>*{display:none}</style>",
	"| <img src=x onerror=alert(1)> |\n|-|\n| [a](vbscript:x) |", "```html\n<script>alert(1)</script>\n```", "```\" onload=alert(1)\nx\n```", "<!-- a -->", "&lt;script&gt;alert(1)&lt;/script&gt;",
	"<details open ontoggle=alert(1)>", "<a href=javascript:alert(1)>a</a>", "<form action=https://x.y><input></form>", "<base href=https://x.y>", "<meta http-equiv=refresh content=0>",
}

// TestPageMarkdown shows Markdown that models may write, whole and piece by piece: none of it runs, and nothing is loaded.
func TestPageMarkdown(t *testing.T) {
	t.Parallel()
	v := visit(t, patience)
	texts, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	v.do(state("empty"), chromedp.Evaluate(`(async () => {
		const { Rendering } = await import('./markdown.js');
		const bad = [], allowed = 'P SPAN H3 H4 DIV BUTTON svg path PRE CODE BLOCKQUOTE UL OL LI TABLE THEAD TBODY TR TH TD HR INPUT A STRONG EM DEL BR'.split(' ');
		for (const text of `+string(texts)+`) {
			const root = document.createElement('div');
			document.body.append(root);
			const r = new Rendering(root);
			for (let n = 1; n <= text.length; n++) {
				r.update(text.slice(0, n));
				for (const e of root.querySelectorAll('*')) {
					const names = e.getAttributeNames();
					const ok = allowed.includes(e.tagName) && !names.some((a) => a.startsWith('on') || a === 'src' || a === 'style')
						&& (!e.hasAttribute('href') || /^https?:|^mailto:/.test(e.href) && e.rel.includes('noopener'));
					if (!ok) bad.push(text + ': ' + e.outerHTML);
				}
			}
			const piecewise = root.innerHTML;
			const whole = document.createElement('div');
			new Rendering(whole).update(text);
			if (piecewise !== whole.innerHTML) bad.push(text + ': piece by piece it is ' + piecewise);
			root.remove();
		}
		return bad;
	})()`, &bad, awaited))
	for _, b := range bad {
		t.Error(b)
	}
	v.colors(string(texts))
	v.formulas()
	var html string
	v.do(chromedp.Evaluate(`(async () => {
		const { Rendering } = await import('./markdown.js');
		const root = document.createElement('div');
		new Rendering(root).update('# A *b*\n\n- [x] one\n- two\n\n3. three\n\n| a | b |\n|-|-:|\n| 1 | **2** |\n\n> q\n\n[l](https://x.y/) & a < b &amp; ~~d~~ \x60c\x60\n\n\x60\x60\x60go\nx := 1\n\x60\x60\x60');
		for (const e of root.querySelectorAll('svg')) e.remove();
		for (const c of ['>'.repeat(30000), '['.repeat(30000), '*a **'.repeat(30000), '- '.repeat(5000) + 'x', 'x'.repeat(500000)]) new Rendering(document.createElement('div')).update(c);
		return root.innerHTML;
	})()`, &html, awaited))
	for _, part := range []string{
		"<h3>A <em>b</em></h3>", `disabled="" checked="" aria-label="done">`, `<ol start="3" dir="auto">`, `<td class="to-right"><strong>2</strong></td>`, `<blockquote dir="auto"><p>q</p></blockquote>`,
		`<a href="https://x.y/" target="_blank" rel="noopener noreferrer nofollow" title="https://x.y/">l</a> &amp; a &lt; b &amp; <del>d</del> <code>c</code>`,
		`<span>go</span>`, `<code>x := 1</code>`,
	} {
		if !strings.Contains(html, part) {
			t.Errorf("%s: want %s in it", html, part)
		}
	}
}

// colors has code highlighted, in each language that is known: it stays the same text, in spans with a class and nothing else.
func (v *visitor) colors(texts string) {
	v.t.Helper()
	var bad []string
	v.do(chromedp.Evaluate(`(async () => {
		const { highlight } = await import('./highlight.js');
		const bad = [], known = 'sh c cpp cs css diff go toml java js json kotlin php py ruby rust sql swift ts html yaml'.split(' ');
		const codes = [...`+texts+`, 'func f(a int) string { return "x" } // 1', '<script>let a = "<b>"</'+'script><style>b { color: red }</style>'];
		for (const language of known) for (const code of codes) {
			const root = document.createElement('code');
			root.append(...(highlight(code, language) ?? ['the language is not known']));
			const odd = Array.from(root.querySelectorAll('*')).filter((e) => e.tagName !== 'SPAN' || e.getAttributeNames().join() !== 'class');
			if (root.textContent !== code || odd.length > 0) bad.push(language + ': ' + code + ': ' + root.innerHTML);
		}
		if (highlight('x', 'klingon') !== undefined) bad.push('a language that nobody knows is highlighted');
		const { Rendering } = await import('./markdown.js');
		const root = document.createElement('div');
		document.body.append(root);
		new Rendering(root).update('\x60\x60\x60go\nreturn "x" // y\n\x60\x60\x60');
		for (let i = 0; i < 1000 && !root.querySelector(".string"); i++) await new Promise((r) => setTimeout(r, 10));
		const colors = ['code', '.keyword', '.string', '.comment'].map((s) => getComputedStyle(root.querySelector(s) ?? document.body).color);
		if (new Set(colors).size !== 4) bad.push('the colors are ' + colors);
		root.remove();
		return bad;
	})()`, &bad, awaited))
	for _, b := range bad {
		v.t.Error(b)
	}
}

// formulas has formulas drawn, and shows those that ask for more than that as they are.
func (v *visitor) formulas() {
	v.t.Helper()
	var bad []string
	v.do(chromedp.Evaluate(`(async () => {
		const { typeset } = await import('./math.js');
		const { Rendering } = await import('./markdown.js');
		const bad = [], drawn = ['\\frac{a}{b}', '\\sqrt[3]{x} + \\cancel{y}', '\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}', '\\begin{align}a&=b\\\\c&=d\\tag{1}\\end{align}', '\\text{a <b> \\& c}', '\\color{red}x', '\\boxed{\\mathcal{L}}', '\\int_0^\\infty e^{-x}\\,dx', '\\xrightarrow{ab}', '\\overbrace{a+b}^{n}'];
		for (const tex of drawn) {
			const e = typeset(tex, true);
			if (e?.localName !== 'math') bad.push(tex + ' is not drawn');
			if (e?.querySelector('[href], [src], script, a, img')) bad.push(tex + ': ' + e.outerHTML);
		}
		for (const tex of ['\\href{javascript:alert(1)}{x}', '\\url{https://x.y}', '\\includegraphics{https://x.y/z.png}', '\\class{a}{x}', '\\id{a}{x}', '\\style{color:red}{x}', '\\data{a=b}{x}', '\\def\\a{\\a\\a}\\a', '{'.repeat(3000), 'x'.repeat(5000), '\\frac{a'])
			if (typeset(tex, false)) bad.push(tex + ': ' + typeset(tex, false).outerHTML);
		const root = document.createElement('div');
		root.className = 'message assistant';
		const body = root.appendChild(Object.assign(document.createElement('div'), { className: 'body' }));
		document.querySelector('#hero').hidden = true;
		document.querySelector('#messages').append(root);
		new Rendering(body).update('The roots of $ax^2 + bx + c$ are\n\n$$x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a},$$\n\nfor $5 and $10, with \\(\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}\\) and $\\href{javascript:alert(1)}{x}$.');
		for (let i = 0; i < 1000 && body.querySelectorAll('math').length < 3; i++) await new Promise((r) => setTimeout(r, 10));
		if (body.querySelectorAll('math').length !== 3 || !body.textContent.includes('for $5 and $10, with') || !body.textContent.includes('$\\href{javascript:alert(1)}{x}$')) bad.push(body.innerHTML);
		return bad;
	})()`, &bad, awaited), picture(v.t, "formulas"), chromedp.Evaluate("document.querySelector('#messages').replaceChildren()", nil))
	for _, b := range bad {
		v.t.Error(b)
	}
}

// TestPageAddresses types what is no address: the page says what to do, and asks no server.
func TestPageAddresses(t *testing.T) {
	t.Parallel()
	v := visit(t, patience)
	v.do(state("empty"))
	for text, want := range map[string]string{"": "manifest.json", "HuggingFaceTB/SmolLM2-135M": "llama-webgpu fetch HuggingFaceTB/SmolLM2-135M"} {
		v.do(address(text), until(fmt.Sprintf("document.querySelector('#picker-error').textContent.includes(%q)", want)))
		if text != "" {
			v.do(picture(t, "address"))
		}
		v.do(chromedp.Click("#close-picker"))
	}
}

// TestPageOnAPhone looks whether the page fits a phone, and its list of chats opens and closes.
func TestPageOnAPhone(t *testing.T) {
	t.Parallel()
	v := visit(t, patience)
	v.do(emulation.SetDeviceMetricsOverride(390, 844, 2, true), chromedp.Reload(), state("empty"), picture(t, "phone"))
	fits := func(what string) {
		t.Helper()
		if v.is("document.documentElement.scrollWidth > innerWidth") {
			t.Errorf("with %s, the page is wider than a phone", what)
		}
	}
	fits("nothing open")
	v.do(chromedp.Click("#open-sidebar"), until("!document.querySelector('#sidebar').inert && document.querySelector('#main').inert"), picture(t, "phone-chats"))
	fits("the list of chats")
	v.do(chromedp.KeyEvent(kb.Escape), until("document.querySelector('#sidebar').inert && document.activeElement.id === 'open-sidebar'"),
		chromedp.Click("#open-settings"), chromedp.WaitVisible("#settings"), picture(t, "phone-settings"))
	fits("the settings")
	v.do(chromedp.KeyEvent(kb.Escape), chromedp.Click("#tab-measure"), chromedp.WaitVisible("#measure"))
	fits("the panel that measures")
}

// picture writes a screenshot of the page to build/screenshots.
func picture(t *testing.T, name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var png []byte
		if err := chromedp.CaptureScreenshot(&png).Do(ctx); err != nil {
			return err
		}
		dir := filepath.Join("..", "build", "screenshots")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		t.Logf("build/screenshots/%s.png", name)
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666)
	})
}
