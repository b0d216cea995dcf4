// The conversation on the page: its messages, and where it is scrolled to.
import { $, button, el } from '../lib/dom.js';
import { arrange, focusOn, holding } from '../lib/focus.js';
import { count, seconds } from '../lib/format.js';
import { announce } from '../lib/notices.js';
import type { Chats } from './chats.js';
import { type Deeds, MessageView } from './message.js';
import { branch, type Message, siblings } from './tree.js';

/** How many messages are drawn at first, and more of when one looks further back. */
const drawn = 60;

/** How near to its end, in pixels, a conversation follows what is written. */
const near = 64;

export class ConversationView {
  private readonly views = new Map<Message, MessageView>();
  private conversation = '';
  private stuck = true; // to the end
  private from = 0; // the first message that is drawn
  private clock: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly chats: Chats,
    private readonly deeds: Deeds,
  ) {
    const scroller = $('scroller');
    scroller.addEventListener('scroll', () => {
      this.stuck = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < near;
      button('to-end').hidden = this.stuck || !$('hero').hidden;
    });
    new ResizeObserver(() => this.follow()).observe($('messages'));
    new ResizeObserver(() => this.follow()).observe(scroller);
    button('to-end').addEventListener('click', () => {
      focusOn(scroller);
      this.toEnd();
    });
    button('earlier').addEventListener('click', () => this.earlier());
    new IntersectionObserver(([e]) => e!.isIntersecting && this.earlier(), { root: scroller }).observe($('earlier'));
    chats.addEventListener('shown', () => this.show());
    chats.addEventListener('text', () => this.text());
    chats.addEventListener('writing', () => this.written());
  }

  /** Shows the branch of the conversation. Messages that were there keep their elements, and what is open in them. */
  private show(): void {
    const c = this.chats.current;
    const messages = branch(c);
    const list = $('messages');
    const again = this.focused(list);
    if (c.id !== this.conversation) {
      this.views.clear();
      this.conversation = c.id;
      this.stuck = true;
      this.from = Number.POSITIVE_INFINITY;
    }
    this.from = Math.max(0, Math.min(this.from, messages.length - drawn));
    button('earlier').hidden = this.from === 0;
    const nodes = messages.slice(this.from).map((m, i) => {
      const view = this.views.get(m) ?? new MessageView(m, this.deeds);
      this.views.set(m, view);
      const all = siblings(c, m);
      view.place({ index: all.indexOf(m), of: all.length, last: this.from + i === messages.length - 1 });
      view.update();
      view.writing = this.chats.writing?.message === m;
      return view.root;
    });
    arrange(list, nodes);
    again(nodes);
    $('hero').hidden = messages.length > 0;
    if (this.chats.writing?.conversation === c) this.stuck = true;
    this.text();
    this.follow();
  }

  /** Remembers which message has the focus; the function that it returns gives it to the one that takes its place. */
  private focused(list: HTMLElement): (nodes: readonly HTMLElement[]) => void {
    const before = Array.from(list.children) as HTMLElement[];
    const at = before.findIndex((e) => e.contains(document.activeElement));
    if (at < 0) return () => {};
    const again = holding(before[at]!);
    return (nodes) => {
      if (list.contains(document.activeElement)) return;
      const now = nodes.includes(before[at]!) ? before[at] : nodes[at];
      if (!now || !again(now)) focusOn(now ?? nodes.at(-1) ?? $('scroller'));
    };
  }

  /** Draws more of the messages before; those that are seen stay where they are. */
  private earlier(): void {
    if (this.from === 0 || this.stuck) return;
    const [first] = $('messages').children;
    const top = first?.getBoundingClientRect().top ?? 0;
    this.from -= drawn;
    this.show();
    if (first) $('scroller').scrollTop += first.getBoundingClientRect().top - top;
  }

  /** Shows what has been written since. */
  private text(): void {
    const w = this.chats.writing;
    if (!w) return;
    const view = this.views.get(w.message);
    view?.update();
    const waits = w.speed.tokens === 0 || (w.message.text === '' && !w.message.reasoning);
    view?.busy(waits ? this.reading() : '', waits && w.read ? w.read.done / w.read.total : undefined);
  }

  /** What the model does while there is no text yet. */
  private reading(): string {
    const { read, begun } = this.chats.writing!;
    const time = (performance.now() - begun) / 1000;
    const what = read
      ? `Reading the prompt: ${read.done.toLocaleString('en')} of ${count(read.total, 'token')}`
      : 'Reading the prompt';
    return time < 1.5 ? what : `${what}, ${seconds(time)}`;
  }

  private written(): void {
    clearInterval(this.clock);
    const w = this.chats.writing;
    if (w) {
      this.clock = setInterval(() => this.text(), 500);
      announce('The model is answering.');
      this.toEnd();
      return;
    }
    for (const view of this.views.values()) {
      view.busy('');
      view.writing = false;
    }
    const last = branch(this.chats.current).at(-1);
    if (last?.role === 'assistant') announce(spoken(last));
  }

  private follow(): void {
    if (this.stuck) $('scroller').scrollTop = $('scroller').scrollHeight;
  }

  toEnd(): void {
    this.stuck = true;
    button('to-end').hidden = true;
    this.follow();
  }

  /** Edits the last message of the visitor's. */
  editLast(): void {
    const last = branch(this.chats.current).findLast((m) => m.role === 'user');
    if (last) this.views.get(last)?.edit();
  }
}

/** An answer as a screen reader reads it once it is complete: its beginning. */
function spoken(m: Message): string {
  if (m.record?.end === 'error') return `The answer failed: ${m.record.error}`;
  if (m.record?.end === 'aborted') return 'Stopped.';
  if (m.calls?.length) return `The model calls ${m.calls.map((c) => c.name).join(', ')}.`;
  const text = m.text.replace(/```[\s\S]*?(```|$)/g, ' (code) ').replace(/[*_`#>|]/g, '');
  return `Answer: ${text.length > 500 ? `${text.slice(0, 500)} … The rest is on the page.` : text}`;
}

/** What a visitor may begin with. */
export function suggestions(list: readonly string[], use: (text: string) => void): void {
  $('suggestions').replaceChildren(
    ...list.map((text) => el('button', { type: 'button', class: 'suggestion', onclick: () => use(text) }, text)),
  );
}
