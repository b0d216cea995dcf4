package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// enter presses Enter on the last element that a selector finds.
func enter(selector string) chromedp.Action {
	last := fmt.Sprintf("Array.from(document.querySelectorAll(%q)).at(-1)", selector)
	return chromedp.Tasks{until(last), chromedp.Evaluate(last+".focus()", nil), chromedp.KeyEvent(kb.Enter)}
}

// focused waits until an element that a selector finds has the focus.
func focused(selector string) chromedp.Action {
	return until(fmt.Sprintf("document.activeElement.matches(%q)", selector))
}

// TestPageFocus uses the buttons of messages, of the list, and of notices by the keyboard: what they change is drawn anew, and the
// focus stays where it was, or goes to what takes that place.
func TestPageFocus(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	const last = ".assistant.last "
	v.do(onServer("actor"), hear("One", "actor hears: One"), hear("Two", "actor hears: Two"),
		enter(last+"[aria-label='Generate again']"), until("document.querySelector('.turner span')?.textContent === '2 / 2'"), state("ready"), focused(".assistant.last"))
	v.do(enter(last+"[aria-label='Previous version']"), focused(last+"[aria-label='Next version']"), enter(last+"[aria-label='Next version']"), focused(last+"[aria-label='Previous version']"))
	v.do(enter(last+"[aria-label=Edit]"), focused(".editor textarea"), chromedp.KeyEvent(kb.Escape), focused(last+"[aria-label=Edit]"),
		enter(last+"[aria-label=Edit]"), focused(".editor textarea"), enter(".editor .main"), focused(last+"[aria-label=Edit]"))
	v.do(enter(".user [aria-label='Delete from here on']"), until("document.querySelectorAll('.message').length === 2"), focused(".assistant.last"),
		enter("#toast button"), until("document.querySelectorAll('.message').length === 4"), focused(".assistant"))
	v.do(enter(last+"[aria-label='New chat from here']"), shows("#conversations .current .open", "One (copy)"), focused(last+"[aria-label='New chat from here']"))
	v.do(enter("#conversations .open"), shows("#conversations .current .open", "One"), focused("#conversations .current .open"),
		enter("#conversations .current .tool"), focused("#menu-pin"), enter("#menu-pin"), shows("#conversations .when", "Pinned"), focused("#conversations .current .tool"),
		enter("#conversations .current .tool"), enter("#menu-rename"), focused("#conversations input"), chromedp.KeyEvent("Uno\r"), shows("#conversations .current .open", "Uno"), focused("#conversations .current .open"))
	v.do(enter("#conversations .current .tool"), enter("#menu-delete"), until("document.querySelectorAll('#conversations .open').length === 1"), focused("#conversations .tool"),
		enter("#conversations .tool"), enter("#menu-delete"), until("document.querySelector('#conversations .open') === null"), focused("#new-chat"))
	v.do(send("Table?"), until("document.querySelector('.scroller table')"), state("ready"), chromedp.Evaluate("for (const e of document.querySelectorAll('.scroller, .code pre')) { e.style.width = '9rem'; e.scrollLeft = 40 }", nil), hear("Next", "actor hears: Next"))
	if v.is("Array.from(document.querySelectorAll('.scroller, .code pre')).some((e) => e.scrollLeft !== 40)") {
		t.Error("a table or code is scrolled back when a message is added")
	}
	v.do(chromedp.Navigate(v.address()+"?m=nobody"), enter("#alert-close"), until("document.querySelector('#alert').hidden && document.activeElement !== document.body"))
}

// TestPageDirection shows an answer in Arabic: lists, quotations and tables begin on the right, and those in English on the left.
func TestPageDirection(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	v.do(onServer("actor"), send("Arabic?"), until("document.querySelector('.assistant.last table')"), state("ready"), picture(t, "arabic"))
	for _, block := range []string{"ol", "ul", "blockquote", "table"} {
		if !v.is(fmt.Sprintf("getComputedStyle(document.querySelector('.assistant.last %s')).direction === 'rtl'", block)) {
			t.Errorf("%s begins on the left", block)
		}
	}
	v.do(send("Table?"), until("document.querySelector('.assistant.last table')"), state("ready"))
	if !v.is("getComputedStyle(document.querySelector('.assistant.last table')).direction === 'ltr'") {
		t.Error("an English table begins on the right")
	}
}

// TestPageInsecure has the page from another machine by http, where browsers have neither WebGPU nor a clipboard for scripts: the
// page says so, talks to the server, and copies what is said.
func TestPageInsecure(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	address, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	v := visitAt(t, "http://machine.example:"+address.Port(), patience, chromedp.Flag("host-resolver-rules", "MAP machine.example 127.0.0.1"))
	v.do(state("empty"), until("document.querySelector('#welcome .note')?.textContent.startsWith('WebGPU works only on secure pages')"), picture(t, "insecure"))
	v.do(onServer("actor"), hear("Hello", "actor hears: Hello"), enter(".assistant.last [aria-label=Copy]"), focused(".assistant.last [aria-label=Copied]"),
		chromedp.Focus("#message"), input.DispatchKeyEvent(input.KeyDown).WithCommands([]string{"paste"}), until("document.querySelector('#message').value === 'actor hears: Hello'"))
}

// TestPageMedia shows a chat in the few colors that a visitor's system allows, and on paper.
func TestPageMedia(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	v.do(onServer("actor"), chromedp.Click("#tools-mode"), chromedp.WaitVisible("#tools"), chromedp.Click("#close-settings"))
	for i := range 9 {
		v.do(hear(fmt.Sprintf("Question %d", i), fmt.Sprintf("actor hears: Question %d", i)))
	}
	v.do(send("Table?"), until("document.querySelector('.scroller table')"), state("ready"),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}), picture(t, "forced-colors"))
	ground := func(selector string) (color string) {
		v.do(chromedp.Evaluate(fmt.Sprintf("getComputedStyle(document.querySelector(%q)).backgroundColor", selector), &color))
		return color
	}
	for chosen, other := range map[string]string{"#tab-chat": "#tab-measure", "#tools-mode": "#json-mode", "[name=form][value=text] + span": "[name=form][value=json] + span", "#conversations .current": "#new-chat"} {
		if a, b := ground(chosen), ground(other); a == b {
			t.Errorf("%s is chosen and %s is not, and both are %s", chosen, other, a)
		}
	}
	v.do(emulation.SetEmulatedMedia().WithMedia("print").WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}), picture(t, "print"))
	if v.is("document.documentElement.scrollHeight <= innerHeight || document.querySelector('#scroller').clientHeight < document.querySelector('#messages').offsetHeight || document.documentElement.scrollWidth > innerWidth") {
		t.Error("on paper, a long chat is cut off")
	}
	if v.is("getComputedStyle(document.body).color !== 'rgb(28, 28, 36)' || document.querySelector('#composer').offsetHeight > 0") {
		t.Error("on paper there is light text, or a field")
	}
}

// TestPageServerGone chooses a model, to run here or there, when the server has ended: the page says that, and not what the runtime
// makes of files that do not come.
func TestPageServerGone(t *testing.T) {
	t.Parallel()
	a := act(t, "")
	v := visitAt(t, a.URL, patience, withGPU()...)
	v.do(until("document.querySelectorAll('.offer .main:enabled').length > 0"))
	a.Close()
	for _, selector := range []string{".offer .main", ".offer button:not(.main)"} {
		v.do(enter(selector), until("!document.querySelector('#alert').hidden"), state("empty"))
		if said := v.text("#alert-title") + ": " + v.text("#alert-text"); !strings.HasPrefix(said, "The server cannot be reached: ") || !strings.Contains(said, "is llama-webgpu serve still running?") {
			t.Errorf("%s: the page says %q", selector, said)
		}
		v.do(enter("#alert-close"))
	}
}

// TestPageEscape presses Escape where it ends something else than the answer that is being written, and Enter where it ends a word
// of an input method.
func TestPageEscape(t *testing.T) {
	t.Parallel()
	v := meet(t, act(t, ""))
	dispatch := func(selector, key string) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).dispatchEvent(new KeyboardEvent('keydown', { %s, bubbles: true, cancelable: true }))", selector, key), nil)
	}
	goesOn := chromedp.Tasks{
		chromedp.Evaluate("written = document.querySelector('.assistant.last .body').textContent.length", nil),
		until("document.querySelector('.assistant.last .body').textContent.length > written + 40"),
	}
	v.do(onServer("actor"), hear("One", "actor hears: One"), press("shift+o"), set("message", "Forever"),
		dispatch("#message", "key: 'Enter', isComposing: true"), dispatch("#message", "key: 'Enter', keyCode: 229"))
	if v.is("document.querySelector('.message') !== null") {
		t.Error("the Enter that ends a word sends the message")
	}
	v.do(send("Forever"), until("document.querySelector('.assistant .body')?.textContent.includes('word5')"),
		dispatch("#message", "key: 'Escape', isComposing: true"), goesOn,
		enter("#conversations .current .tool"), focused("#menu-pin"), chromedp.KeyEvent(kb.Escape), focused("#conversations .tool"), goesOn,
		chromedp.Focus("#search"), set("search", "One"), chromedp.KeyEvent(kb.Escape), until("document.querySelector('#search').value === ''"), goesOn,
		chromedp.KeyEvent(kb.Escape), state("ready"), shows(".assistant.last .note", "Stopped."))
}

// TestPageLongNames attaches a file with a long name, on a phone: nothing is pushed off the screen.
func TestPageLongNames(t *testing.T) {
	v := meet(t, act(t, ""))
	attach := `{ const data = new DataTransfer(); data.items.add(new File(['some text'], 'name'.repeat(40) + '.txt')); const files = document.querySelector('#files'); files.files = data.files; files.dispatchEvent(new Event('change')) }`
	v.do(emulation.SetDeviceMetricsOverride(360, 740, 2, true), onServer("actor"), chromedp.Evaluate(attach, nil), chromedp.WaitVisible("#attached .chip"), picture(t, "phone-attached"))
	for _, selector := range []string{"#send", "#attached .chip button"} {
		if v.is(fmt.Sprintf("document.querySelector(%q).getBoundingClientRect().right > innerWidth", selector)) {
			t.Errorf("%s is off the screen", selector)
		}
	}
	v.do(send("Read"), until("document.querySelector('.file small')"), state("ready"))
	if v.is("document.querySelector('.file small').getClientRects()[0].height > 30 || document.querySelector('#messages').scrollWidth > innerWidth") {
		t.Error("the size of the file is broken into lines")
	}
}

// TestPageBeside selects a text in the settings, to beyond the edge of the drawer, which stays open, and then presses beside it.
func TestPageBeside(t *testing.T) {
	v := meet(t, act(t, ""))
	var at []float64
	v.do(chromedp.Click("#open-settings"), chromedp.WaitVisible("#system"), set("system", "Be brief."),
		chromedp.Evaluate("{ const r = document.querySelector('#system').getBoundingClientRect(); [r.left + r.width / 2, r.top + 20] }", &at))
	mouse := func(what input.MouseType, x float64) chromedp.Action {
		return input.DispatchMouseEvent(what, x, at[1]).WithButton(input.Left).WithClickCount(1)
	}
	v.do(mouse(input.MousePressed, at[0]), mouse(input.MouseMoved, 100), mouse(input.MouseReleased, 100))
	if !v.is("document.querySelector('#settings').open && document.getSelection().toString() === 'Be brief.'") {
		t.Error("selecting a text closes the settings, or selects nothing")
	}
	v.do(mouse(input.MousePressed, 100), mouse(input.MouseReleased, 100), until("!document.querySelector('#settings').open"))
}
