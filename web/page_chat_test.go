package web_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press presses a key with Ctrl, and Shift if its name begins so.
func press(name string) chromedp.Action {
	key, shift := strings.CutPrefix(name, "shift+")
	return chromedp.Evaluate(fmt.Sprintf("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: %q, ctrlKey: true, shiftKey: %t, bubbles: true, cancelable: true }))", key, shift), nil)
}

// tool presses a button of a message: of the one that is the n-th, from the end if that is negative.
func tool(n int, label string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf("Array.from(document.querySelectorAll('.message')).at(%d).querySelector('[aria-label=%q]').click()", n, label), nil)
}

// shows waits until the text of the first element that a selector finds is the one that is wanted.
func shows(selector, want string) chromedp.Action {
	return until(fmt.Sprintf("document.querySelector(%q)?.textContent === %q", selector, want))
}

const lastAnswer = ".assistant.last .body"

// TestPageAnswers stops an answer and has the model go on with it, corrects one and goes on, looks at it as text, begins a chat
// with a part of another one, and takes back what was deleted.
func TestPageAnswers(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	v.do(onServer("actor"), set("extra", `{"mirostat": 2}`), send("Forever"), until("document.querySelector('.assistant .body')?.textContent.includes('word5')"), state("writing"),
		until("/tokens\\/s$/.test(document.querySelector('#context-text').textContent)"), chromedp.KeyEvent(kb.Escape), state("ready"), shows(".assistant.last .note", "Stopped."), settled(), picture(t, "stopped"))
	begun := strings.TrimSpace(v.text(lastAnswer))
	v.do(tool(-1, "Continue this answer"), state("ready"), until("document.querySelector('"+lastAnswer+" strong') !== null"))
	if got := strings.Join(strings.Fields(v.text(lastAnswer)), " "); got != begun+" and so on." {
		t.Errorf("%q goes on as %q", begun, got)
	}
	if q := a.last(t); !q.GoOn || q.Mirror != 2 || len(q.Messages) != 2 || q.Messages[1].Role != "assistant" || strings.TrimSpace(q.Messages[1].Content) != begun {
		t.Errorf("the page asks for %+v", q)
	}
	v.do(tool(-1, "Edit"), chromedp.SetValue(".editor textarea", "All is *well*"), chromedp.Click(".editor .main"), shows(lastAnswer, "All is well"),
		tool(-1, "Continue this answer"), state("ready"), shows(lastAnswer, "All is well and so on."))
	v.do(tool(-1, "Show as plain text"), shows(lastAnswer, "All is *well* and **so on**."), picture(t, "raw"), tool(-1, "Show as plain text"), shows(lastAnswer, "All is well and so on."))
	v.do(hear("More", "actor hears: More"), tool(1, "New chat from here"), until("document.querySelectorAll('.message').length === 2"), until("document.querySelector('#conversations .current')?.textContent === 'Forever (copy)'"),
		hear("Otherwise", "actor hears: Otherwise"), press("shift+ArrowDown"), shows(lastAnswer, "actor hears: More"))
	v.do(tool(2, "Delete from here on"), until("document.querySelectorAll('.message').length === 2"), undo(), until("document.querySelectorAll('.message').length === 4"), shows(lastAnswer, "actor hears: More"))
	v.eventually(func() bool { return len(v.stored("Forever", "user")) == 2 }, "what was taken back is not stored")
	v.do(chromedp.Click("#new-chat"), send("Ponder"), until("document.querySelector('.assistant .thoughts')?.textContent.length > 10"), picture(t, "thinking"), chromedp.Evaluate("Array.from(document.querySelectorAll('button')).find((b) => b.textContent === 'Answer now').click()", nil), state("ready"), shows(lastAnswer, " and so on."))
	if m := a.last(t).Messages; len(m) != 2 || m[1].Content != "" || !strings.HasPrefix(m[1].Reasoning, "Hm. Hm.") {
		t.Errorf("asked to answer now, the page sends %+v", m)
	}
}

// eventually waits until the browser has stored something.
func (v *visitor) eventually(is func() bool, why string) {
	v.t.Helper()
	for begun := time.Now(); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > patience {
			v.t.Fatal(why)
		}
	}
}

// stored returns what was said in the chats of that title, by the visitor or the model, as the browser has it.
func (v *visitor) stored(title, role string) (texts []string) {
	v.t.Helper()
	v.do(chromedp.Evaluate(fmt.Sprintf(`new Promise((resolve) => { const open = indexedDB.open('llama-webgpu'); open.onsuccess = () => { const all = open.result.transaction('conversations').objectStore('conversations').getAll();
		all.onsuccess = () => { open.result.close(); resolve(all.result.filter((c) => c.title === %q).flatMap((c) => c.messages.filter((m) => m.role === %q).map((m) => m.text))) } } })`, title, role), &texts, awaited))
	return texts
}

// TestPageComposer keeps a draft for each chat, also when the browser goes back or reloads, counts its tokens, and attaches long
// texts that are pasted.
func TestPageComposer(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	field := func(want string) chromedp.Action {
		return until(fmt.Sprintf("document.querySelector('#message').value === %q", want))
	}
	v.do(onServer("actor"), hear("Hello", "actor hears: Hello"), set("message", "four words of mine"), shows("#draft-tokens", "this message: 4 tokens"),
		press("shift+O"), field(""), set("message", "another"), chromedp.NavigateBack(), field("four words of mine"), shows(lastAnswer, "actor hears: Hello"),
		chromedp.NavigateForward(), field("another"), chromedp.NavigateBack(), field("four words of mine"), chromedp.Reload(), state("ready"), field("four words of mine"))
	if v.is("document.querySelectorAll('#conversations .open').length !== 1") {
		t.Error("an empty chat is listed")
	}
	paste := chromedp.Evaluate(`{ const data = new DataTransfer(); data.setData('text/plain', 'long '.repeat(1000));
		document.querySelector('#message').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); }`, nil)
	v.do(set("message", ""), press("shift+o"), set("message", ""), chromedp.NavigateBack(), shows(lastAnswer, "actor hears: Hello"), paste, shows("#attached .chip", "pasted.txt"), press("shift+o"), until("document.querySelector('#attached').hidden && document.querySelector('.message') === null"), chromedp.NavigateBack(), shows("#attached .chip", "pasted.txt"), picture(t, "pasted"), undo(), until("document.querySelector('#attached').hidden && document.querySelector('#message').value.length >= 5000"),
		set("message", ""), paste, shows("#attached .chip", "pasted.txt"), send("Read it"), state("ready"), until("document.querySelector('.user:nth-last-child(2) .file')?.textContent.startsWith('pasted.txt')"), field(""))
	editorKey := func(key string) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf("document.querySelector('.editor textarea').dispatchEvent(new KeyboardEvent('keydown', { key: %q, bubbles: true, cancelable: true }))", key), nil)
	}
	v.do(chromedp.Evaluate("document.querySelector('#enterSends').click()", nil), tool(0, "Edit"), editorKey("Enter"), editorKey("Escape"), until("document.querySelector('.editor') === null"), set("message", "Line"), chromedp.Evaluate("document.querySelector('#message').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))", nil), field("Line"),
		chromedp.Focus("#message"), press("Enter"), field(""), state("ready"), shows(lastAnswer, "actor hears: Line"))
	choose := chromedp.Evaluate("{ const e = document.querySelector('#prompts'); e.value = '0'; e.dispatchEvent(new Event('change')); }", nil)
	v.do(chromedp.Click("#open-settings"), set("system", "Be brief.\nAnd kind."), chromedp.Click("#save-prompt"), until("document.querySelector('#save-prompt').disabled && document.querySelector('#prompts').selectedOptions[0].textContent === 'Be brief.'"),
		set("system", ""), picture(t, "prompts"), choose, until("document.querySelector('#system').value === 'Be brief.\\nAnd kind.'"), chromedp.Click("#close-settings"), chromedp.Evaluate("document.querySelector('#enterSends').click()", nil), hear("Go", "actor hears: Go"))
	if m := a.last(t).Messages; m[0].Role != "system" || m[0].Content != "Be brief.\nAnd kind." {
		t.Errorf("with a saved system prompt, the page says %+v", m)
	}
	v.do(send("Forever"), state("writing"), tool(0, "Edit"), chromedp.Evaluate("document.querySelector('.editor textarea').value = 'Hello there'", nil), chromedp.Evaluate("document.querySelector('.editor .main').click()", nil), until("document.querySelector('#toast').textContent.includes('busy')"), until("document.querySelector('.editor textarea').value === 'Hello there'"),
		tool(0, "Delete from here on"), until("document.querySelector('#toast').textContent.includes('writing here')"), set("message", "Me too"), press("Enter"), until("document.querySelector('#toast').textContent.includes('busy')"), field("Me too"), chromedp.Evaluate("document.querySelector('#stop').click()", nil), state("ready"), chromedp.Evaluate("document.querySelector('.editor .main').click()", nil), state("ready"), shows(lastAnswer, "actor hears: Hello there"))
}

// TestPageKeys uses the page by its shortcuts, pins a chat, and imports one from llama-server.
func TestPageKeys(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	file := filepath.Join(t.TempDir(), "chat.jsonl")
	if err := os.WriteFile(file, []byte(llamaServerChat), 0o666); err != nil {
		t.Fatal(err)
	}
	first := "document.querySelector('#conversations .open').textContent"
	v.do(onServer("actor"), hear("One", "actor hears: One"), press("shift+o"), hear("Two", "actor hears: Two"), until(first+" === 'Two'"),
		press("shift+ArrowDown"), shows(lastAnswer, "actor hears: One"), press("k"), until("document.activeElement.id === 'search'"), press("b"), until("getComputedStyle(document.querySelector('#sidebar')).display === 'none'"), picture(t, "no-sidebar"),
		press("b"), until("getComputedStyle(document.querySelector('#sidebar')).display !== 'none'"), press("/"), chromedp.WaitVisible("#shortcuts"), picture(t, "shortcuts"), chromedp.KeyEvent(kb.Escape), until("document.querySelector('#shortcuts') === null"))
	v.do(chromedp.Evaluate("document.querySelector('#conversations .current .tool').click()", nil), chromedp.Click("#menu-pin"), until(first+" === 'One' && document.querySelector('#conversations .when').textContent === 'Pinned'"), picture(t, "pinned"),
		press("shift+ArrowDown"), shows(lastAnswer, "actor hears: Two"), press("shift+ArrowUp"), shows(lastAnswer, "actor hears: One"),
		press("b"), until("document.querySelector('#sidebar').inert"), press("shift+e"), chromedp.WaitVisible("#conversations input"), chromedp.SetValue("#conversations input", "First"), chromedp.SendKeys("#conversations input", kb.Enter), until(first+" === 'First'"),
		press("shift+d"), until(first+" === 'Two'"), undo(), until(first+" === 'First'"))
	v.do(chromedp.SetUploadFiles("#import", []string{file}, chromedp.ByQuery), shows(lastAnswer, "Four."), shows("#conversations .current", "From elsewhere"))
	if got := v.conversation(); got != "user: What is 2 + 2?\nmodel: Four." || v.text(".assistant .thinking summary") == "" {
		t.Errorf("what is imported is %q", got)
	}
	v.do(chromedp.Click("#delete-all"), until("document.querySelector('#conversations .open') === null"), undo(), until("document.querySelectorAll('#conversations .open').length === 3"))
	v.do(chromedp.Navigate(v.address()+"?m=understudy&q=Who+are+you%3F"), shows(lastAnswer, "understudy hears: Who are you?"))
	if v.is("location.search !== '' || !location.hash") {
		t.Error("a reload would ask again")
	}
	v.do(chromedp.Navigate(v.address()+"?m=nobody"), until("document.querySelector('#alert-text').textContent.includes('nobody')"))
}

// llamaServerChat is a conversation as llama-server's web UI exports it.
const llamaServerChat = `{"type":"session","harness":"llama.cpp","id":"c","name":"From elsewhere","lastModified":1,"currNode":"a"}
{"type":"message","message":{"id":"r","convId":"c","type":"root","role":"system","content":"","parent":null,"timestamp":1,"children":["s"]}}
{"type":"message","message":{"id":"s","convId":"c","type":"text","role":"system","content":"Be brief.","parent":"r","timestamp":2,"children":["u"]}}
{"type":"message","message":{"id":"a","convId":"c","type":"text","role":"assistant","content":"Four.","reasoningContent":"Easy.","parent":"u","timestamp":4,"children":[],"model":"m","timings":{"predicted_n":4,"predicted_ms":100}}}
{"type":"message","message":{"id":"u","convId":"c","type":"text","role":"user","content":"What is 2 + 2?","parent":"s","timestamp":3,"children":["a"],"extra":[{"type":"TEXT","name":"sum.txt","content":"2 + 2"}]}}
`

// address is that of the page.
func (v *visitor) address() (url string) {
	v.t.Helper()
	v.do(chromedp.Evaluate("location.origin + location.pathname", &url))
	return url
}

// TestPageTabs has two tabs on the same chats: what one writes, renames or deletes, the other one shows, and nothing is lost when
// both write at once.
func TestPageTabs(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	v.do(onServer("actor"), hear("One", "actor hears: One"))
	tab, cancel := chromedp.NewContext(v.ctx)
	t.Cleanup(cancel)
	w := &visitor{t, tab, v.w}
	w.do(page.BringToFront(), chromedp.Navigate(v.address()), onServer("actor"), chromedp.Evaluate("document.querySelector('#conversations .open').click()", nil), shows(lastAnswer, "actor hears: One"),
		hear("Two", "actor hears: Two"))
	v.do(page.BringToFront(), shows(lastAnswer, "actor hears: Two"), send("Forever"), state("writing"))
	w.do(page.BringToFront(), until("document.querySelector('.assistant.last .body').textContent.includes('word1')"), tool(0, "Edit"), chromedp.SetValue(".editor textarea", "Or"), chromedp.Click(".editor .main"), state("ready"), until("document.querySelector('.turner span')?.textContent === '2 / 2'"))
	v.do(page.BringToFront(), chromedp.KeyEvent(kb.Escape), state("ready"), until("document.querySelector('.turner span')?.textContent.endsWith(' / 2')"), chromedp.Reload(), state("ready"), until("document.querySelector('.turner span')?.textContent.endsWith(' / 2')"))
	if texts := v.stored("One", "user"); len(texts) != 4 {
		t.Errorf("of One, Two, Forever and Or there are %q", texts)
	}
	w.do(page.BringToFront(), press("shift+e"), chromedp.SetValue("#conversations input", "Ours"), chromedp.SendKeys("#conversations input", kb.Enter))
	v.do(page.BringToFront(), shows("#conversations .open", "Ours"))
	w.do(page.BringToFront(), press("shift+d"))
	v.do(page.BringToFront(), until("document.querySelector('#conversations .open') === null && document.querySelector('.message') === null"))
}

// TestPageInterrupted closes the page in the middle of an answer, and deletes a chat that is being written.
func TestPageInterrupted(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	chromedp.ListenTarget(v.ctx, func(e any) {
		if _, ok := e.(*page.EventJavascriptDialogOpening); ok { // the page asks whether to leave it
			go func() { _ = chromedp.Run(v.ctx, page.HandleJavaScriptDialog(true)) }() // if it fails, the test ends by its deadline
		}
	})
	v.do(onServer("actor"), send("Forever"), state("writing"))
	v.eventually(func() bool { return strings.Contains(strings.Join(v.stored("Forever", "assistant"), ""), "word9") }, "an answer is not stored while it is written")
	v.do(chromedp.Reload(), state("ready"),
		until("document.querySelector('"+lastAnswer+"')?.textContent.includes('word9')"), until("document.querySelector('.assistant.last .note')?.textContent.startsWith('Not complete')"), picture(t, "interrupted"),
		tool(-1, "Continue this answer"), state("ready"), until("document.querySelector('"+lastAnswer+"').textContent.endsWith(' and so on.')"))
	v.do(chromedp.Click("#new-chat"), send("Forever"), until("document.querySelector('.assistant .body')?.textContent.includes('word5')"), press("shift+d"), state("ready"), until("document.querySelectorAll('#conversations .open').length === 1"), chromedp.Reload(), state("ready"))
	if v.is("document.querySelectorAll('#conversations .open').length !== 1") {
		t.Error("a chat that was deleted while it was written is there again")
	}
}

// TestPageSwitches chooses another model in the middle of an answer, which the first one still completes, and has a model vanish
// from the server.
func TestPageSwitches(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	understudy := "Array.from(document.querySelectorAll('#model-list .open')).find((b) => b.textContent.startsWith('understudy'))"
	v.do(onServer("actor"), send("Forever"), until("document.querySelector('.assistant .body')?.textContent.includes('word5')"), chromedp.Click("#model"), chromedp.WaitVisible("#picker"), until(understudy), chromedp.Evaluate(understudy+".click()", nil),
		until("document.querySelector('#model').textContent.startsWith('understudy')"), state("writing"), chromedp.KeyEvent(kb.Escape), state("ready"), until("document.querySelector('.record').textContent.startsWith('actor · server · ')"),
		hear("And you?", "understudy hears: And you?"), send("Gone"), until("document.querySelector('.assistant.last .note.bad') !== null"), state("ready"), onServer("actor"),
		tool(-1, "Generate again"), state("ready"), until("document.querySelector('.assistant.last .turner span')?.textContent === '2 / 2'"))
	if record := v.text(".assistant.last .record"); !strings.HasPrefix(record, "actor · ") {
		t.Errorf("the answer of another model says %q", record)
	}
}

// TestPageOffline stops the server: the service worker has kept the page, all of one build, and nothing but the page.
func TestPageOffline(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := meet(t, a)
	v.do(onServer("actor"), hear("Hello", "actor hears: Hello"), chromedp.Evaluate("navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.ready).then(() => true)", nil, awaited), until("navigator.serviceWorker.controller !== null"),
		chromedp.Reload(), state("ready"))
	ours := func(then string) chromedp.Action {
		return until("caches.keys().then((names) => names.filter((n) => n.startsWith('llama-webgpu-page '))).then((names) => " + then + ")")
	}
	v.do(ours("names.length === 1 && !names[0].includes('next')"))
	a.next.Store(true)
	v.do(chromedp.Evaluate("navigator.serviceWorker.getRegistration().then((r) => r.update()).then(() => true)", nil, awaited), ours("names.length === 1 && names[0].includes('next')"))
	a.CloseClientConnections()
	a.Close()
	v.do(chromedp.Reload(), state("empty"), shows(lastAnswer, "actor hears: Hello"), chromedp.Click("#open-settings"), chromedp.WaitVisible("#system"), chromedp.Click("#close-settings"), send("Still there?"), chromedp.WaitVisible("#picker"), picture(t, "offline"))
	var files string
	v.do(chromedp.Evaluate("fetch('files.js').then((r) => r.text())", &files, awaited))
	if !strings.HasSuffix(files, "// next\n") {
		t.Error("a file that the page had not asked for yet is that of the build before")
	}
	var kept []string
	v.do(chromedp.Evaluate("caches.keys().then((names) => caches.open(names.find((n) => n.startsWith('llama-webgpu-page ')))).then((c) => c.keys()).then((list) => list.map((r) => new URL(r.url).pathname))", &kept, awaited))
	if len(kept) < 15 {
		t.Errorf("it has kept %v", kept)
	}
	for _, path := range kept {
		if strings.HasPrefix(path, "/v1/") || path == "/props" || strings.HasPrefix(path, "/models/") {
			t.Errorf("it has kept %s", path)
		}
	}
}

// TestPageStorage has the browser refuse to store: the page says so once, and goes on.
func TestPageStorage(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	refuse := `IDBObjectStore.prototype.put = () => { throw new DOMException('no', 'QuotaExceededError') };
		for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError') } });`
	v.do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(refuse).Do(ctx)
		return err
	}), chromedp.Reload(), state("empty"), onServer("actor"), send("One"), until("!document.querySelector('#alert').hidden"), state("ready"), shows("#alert-title", "The conversation was not saved"), shows("#alert-actions", "Export all chats"), picture(t, "full"),
		chromedp.Click("#alert-close"), hear("Two", "actor hears: Two"))
	if v.is("!document.querySelector('#alert').hidden") {
		t.Errorf("it complains again: %s", v.text("#alert"))
	}
	if text := v.text("#alert-text"); !strings.Contains(text, "no room left") {
		t.Errorf("it says %q", text)
	}
}

// many is a script that stores conversations, and a long one.
const many = `new Promise((resolve) => { const open = indexedDB.open('llama-webgpu'); open.onsuccess = () => {
	const t = open.result.transaction('conversations', 'readwrite'), s = t.objectStore('conversations');
	const chat = (id, n) => {
		const messages = Array.from({ length: n }, (_, i) => ({ id: 'm' + i, parent: i ? 'm' + (i - 1) : undefined, role: i % 2 ? 'assistant' : 'user', created: 1,
			text: 'Message ' + i + ' of **' + id + '**\n\n- a\n- b\n\n' + 'words '.repeat(40), ...(i % 2 && { record: { model: 'm', where: 'server', end: 'stop' } }) }));
		s.put({ id, title: 'Chat ' + id, named: true, created: 1, updated: id === 'long' ? 1e13 : 1e12 - Number(id), system: '', messages, leaf: 'm' + (n - 1) });
	};
	for (let i = 0; i < 500; i++) chat(String(i), 20);
	chat('long', 2000);
	t.oncomplete = () => { open.result.close(); resolve(true) } } })`

// TestPageMany opens a chat of 2 000 messages among 500 others: a part of it is drawn, and the rest when one looks for it.
func TestPageMany(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	count := "document.querySelectorAll('.message').length"
	v.do(chromedp.Evaluate(many, nil, awaited), chromedp.Navigate(v.address()+"#long"), chromedp.Reload(), onServer("actor"), until(count+" === 60 && document.querySelector('"+lastAnswer+" strong')"), until("document.querySelectorAll('#conversations .open').length === 501"))
	var times []float64
	v.do(chromedp.Evaluate(`(async () => { const s = document.querySelector('#scroller'), times = []; for (const id of ['7', 'long', '8', 'long']) { const begun = performance.now();
		document.querySelector('#conversations [data-id="' + id + '"] .open').click(); s.offsetHeight; await new Promise((r) => requestAnimationFrame(() => setTimeout(r))); times.push(performance.now() - begun); } return times })()`, &times, awaited))
	t.Logf("turning to another chat takes %.0f ms", times)
	v.do(until(count+" === 60"), chromedp.Evaluate("document.querySelector('#scroller').scrollTop = 0", nil), until(count+" >= 120"), picture(t, "many"))
	if v.is("document.querySelector('#scroller').scrollTop < 500") {
		t.Error("what was seen is not where it was")
	}
	v.do(chromedp.Evaluate("document.querySelector('#scroller').scrollTop = document.querySelector('#scroller').scrollHeight", nil), hear("And now?", "actor hears: And now?"), set("search", "of **499"), until("document.querySelectorAll('#conversations .open').length === 1"))
	if n := len(strings.Split(v.text("#messages"), "Message ")); n > 200 {
		t.Errorf("%d messages are drawn", n)
	}
}

// TestPageBombs shows Markdown that takes long or much, piece by piece: the page stays usable, and what is too much is plain text.
func TestPageBombs(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	var report []struct {
		Name  string
		MS    float64
		Nodes int
	}
	v.do(chromedp.Evaluate(`(async () => {
		const { Rendering } = await import('./markdown.js');
		const row = '|' + ' x |'.repeat(50) + '\n';
		const bombs = { lists: Array.from({ length: 10000 }, (_, i) => ' '.repeat(i % 400) + '- x').join('\n'), nested: '- '.repeat(10000) + 'x', quotes: '>'.repeat(10000) + 'x', table: row + row.replaceAll('x', '-') + row.repeat(3000),
			wide: '|' + ' x |'.repeat(20000) + '\n|' + '-|'.repeat(20000) + '\n|' + ' x |'.repeat(20000), fence: '\x60\x60\x60js\n' + 'let a = 1;\n'.repeat(9000), emphasis: '*a **b _c '.repeat(8000), links: '[a]('.repeat(8000), brackets: '['.repeat(20000),
			images: ('![x](' + location.origin + '/tracker.png) ').repeat(2000), html: '<img src=/tracker.png><div onclick=x>'.repeat(3000), items: '- x\n'.repeat(30000), spaces: 'a' + ' '.repeat(100000) + 'b', math: '$x^{'.repeat(5000), dollars: '$$'.repeat(20000), rules: '---\n\n'.repeat(30000),
			bidi: '\u202eevil\u202c \u200b\u200b\u2066x '.repeat(3000) + 'שלום עולם', defs: '[a]: /x\n'.repeat(10000), entities: '&lt;'.repeat(50000), backticks: '\x60'.repeat(1).repeat(1) + '\x60a'.repeat(20000), tildes: '~~a '.repeat(20000), autolinks: 'https://x.y/?'.repeat(5000), mails: 'a@'.repeat(20000) };
		const report = [];
		for (const [name, text] of Object.entries(bombs)) {
			const root = document.createElement('div');
			root.className = 'body';
			document.querySelector('#messages').append(root);
			const r = new Rendering(root), begun = performance.now();
			for (const part of [0.5, 1]) r.update(text.slice(0, text.length * part));
			root.offsetHeight;
			report.push({ name, ms: performance.now() - begun, nodes: root.querySelectorAll('*').length });
			if (root.querySelector('img, script, iframe, [src], [onclick]')) report.push({ name: name + ' makes elements of its own', ms: 1e9, nodes: 0 });
			root.remove();
			await new Promise((r) => setTimeout(r));
		}
		return report;
	})()`, &report, awaited))
	for _, r := range report {
		t.Logf("%s: %.0f ms, %d elements", r.Name, r.MS, r.Nodes)
		if r.MS > 30_000 || r.Nodes > 60_000 {
			t.Errorf("%s: %.0f ms, %d elements", r.Name, r.MS, r.Nodes)
		}
	}
}
