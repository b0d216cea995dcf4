// One message on the page.
import { markdown } from '../lazy.js';
import { copyButton } from '../lib/copy.js';
import { el, paced, sends } from '../lib/dom.js';
import { renew } from '../lib/focus.js';
import { bytes, count, seconds } from '../lib/format.js';
import { type Icon, icon } from '../lib/icons.js';
import type { Rendering } from '../markdown.js';
import type { Message, Record, ToolCall } from './tree.js';

/** What a message's buttons do. */
export interface Deeds {
  edit(m: Message, text: string): boolean; // false: not now
  again(m: Message): void;
  goOn(m: Message): void;
  answerNow(): void;
  fork(m: Message): void;
  remove(m: Message): void;
  turn(m: Message, by: -1 | 1): void;
  results(m: Message, results: string[]): void;
  /** Whether Enter alone sends an edited message. */
  enterSends(): boolean;
}

/** Where a message stands among its siblings, and whether it is the last one. */
export interface Place {
  index: number;
  of: number;
  last: boolean;
}

const names = { user: 'You', assistant: 'Model', tool: 'Tool result' };

/** What was typed as the result of a call, and not sent yet: the fields are made anew whenever the conversation is shown. */
const typed = new WeakMap<ToolCall, string>();

let Markdown: typeof Rendering | undefined;

/** Loads what shows Markdown. */
async function loaded(): Promise<void> {
  Markdown = (await markdown()).Rendering;
}

export class MessageView {
  readonly root: HTMLElement;
  private readonly body = el('div', { class: 'body' });
  private readonly thoughts = el('div', { class: 'thoughts' });
  private readonly folded: HTMLDetailsElement;
  private readonly summary = el('span');
  private readonly status = el('p', { class: 'status' });
  private readonly bar = el('div', { class: 'bottom' });
  private readonly now = el(
    'button',
    { type: 'button', class: 'mode', onclick: () => this.deeds.answerNow() },
    'Answer now',
  );
  private rendering: Rendering | undefined;
  private thinking: Rendering | undefined;
  private shown = ''; // of the text
  private raw = false; // the text is shown as it is
  private readonly draw = paced(() => this.drawText());

  constructor(
    private readonly m: Message,
    private readonly deeds: Deeds,
  ) {
    this.folded = el('details', { class: 'thinking' }, el('summary', {}, icon('right'), this.summary), this.thoughts);
    this.folded.hidden = true;
    const files = (m.attachments ?? []).map(fileChip);
    this.root = el(
      'article',
      { class: `message ${m.role}`, 'aria-label': m.role === 'assistant' && m.record ? m.record.model : names[m.role] },
      files.length > 0 && el('div', { class: 'files' }, ...files),
      this.folded,
      this.now,
      this.body,
      this.status,
      this.bar,
    );
    this.status.hidden = this.now.hidden = true;
    if (m.role === 'assistant') this.drawText();
    this.update();
  }

  /** Shows the message's text as it is now. */
  update(): void {
    if (this.m.role === 'assistant') this.draw();
    else this.body.textContent = this.m.text;
  }

  private drawText(): void {
    const { text, reasoning, record } = this.m;
    if (!Markdown)
      loaded().then(
        () => this.draw(),
        () => (this.body.textContent = text),
      );
    else this.thinking ??= new Markdown(this.thoughts);
    if (this.raw) this.body.textContent = text;
    else if (Markdown && (!this.rendering || text !== this.shown)) {
      this.rendering ??= new Markdown(this.body);
      this.rendering.update(text);
      this.shown = text;
    }
    this.folded.hidden = !reasoning;
    this.thinksNow();
    if (!reasoning) return;
    this.thinking?.update(reasoning);
    const time = record?.thinkingSeconds;
    this.summary.textContent = time === undefined ? 'Thinking …' : `Thought for ${seconds(time)}`;
  }

  /** Shows what the model does before there is text; '' ends that. A share is how much of it is done. */
  busy(text: string, share?: number): void {
    if (text === '' && this.status.hidden) return;
    this.root.classList.toggle('busy', text !== '');
    this.status.hidden = text === '';
    const bar =
      share === undefined ? [] : [el('progress', { max: 1, value: share, 'aria-label': 'The prompt is being read' })];
    this.status.replaceChildren(
      el('span', { class: 'dots', 'aria-hidden': 'true' }, el('i'), el('i'), el('i')),
      text,
      ...bar,
    );
  }

  /** Marks the message as one that is being written, or no longer. */
  set writing(on: boolean) {
    this.root.classList.toggle('writing', on);
    this.thinksNow(on);
  }

  /** Offers to end the thoughts while there are nothing but some. */
  private thinksNow(writing = this.root.classList.contains('writing')): void {
    this.now.hidden = !writing || !this.m.reasoning || this.m.text !== '';
  }

  /** Shows the buttons, and how the answer was made. */
  place(p: Place): void {
    const { m, deeds } = this;
    this.root.classList.toggle('last', p.last);
    const tools: Node[] = [copyButton(() => m.text, 'Copy')];
    if (m.role !== 'tool') tools.push(this.button('edit', 'Edit', () => this.edit()));
    if (m.role === 'assistant') {
      tools.push(this.button('retry', 'Generate again', () => deeds.again(m)));
      if (p.last && (m.text !== '' || m.reasoning) && !m.calls?.length)
        tools.push(this.button('play', 'Continue this answer', () => deeds.goOn(m)));
      tools.push(this.rawButton());
    }
    if (m.role !== 'tool') tools.push(this.button('fork', 'New chat from here', () => deeds.fork(m)));
    tools.push(this.button('trash', 'Delete from here on', () => deeds.remove(m)));
    const parts: HTMLElement[] = [el('div', { class: 'tools' }, ...tools)];
    if (p.of > 1) parts.unshift(this.turner(p));
    if (m.record) {
      const title = m.created ? new Date(m.created).toLocaleString() : undefined;
      parts.push(el('span', { class: 'record', title }, recordText(m.record)));
    }
    renew(this.bar, parts);
    this.root.querySelectorAll(':scope > .note, :scope > .calls').forEach((e) => {
      e.remove();
    });
    const note = m.record && noteOf(m.record);
    if (note) this.bar.before(el('p', { class: `note ${m.record?.end === 'error' ? 'bad' : ''}` }, note));
    if (m.calls && m.calls.length > 0) this.bar.before(this.calls(m.calls, p.last));
  }

  private button(name: Icon, label: string, run: () => void): HTMLButtonElement {
    return el('button', { type: 'button', class: 'tool', title: label, 'aria-label': label, onclick: run }, icon(name));
  }

  /** Turns between Markdown and the text as the model wrote it. */
  private rawButton(): HTMLButtonElement {
    const b = this.button('lines', 'Show as plain text', () => {
      this.raw = !this.raw;
      b.setAttribute('aria-pressed', String(this.raw));
      this.root.classList.toggle('raw', this.raw);
      this.rendering = undefined;
      this.body.replaceChildren();
      this.drawText();
    });
    b.setAttribute('aria-pressed', String(this.raw));
    return b;
  }

  private turner(p: Place): HTMLElement {
    const step = (by: -1 | 1, name: Icon, label: string, off: boolean) => {
      const b = this.button(name, label, () => this.deeds.turn(this.m, by));
      b.disabled = off;
      return b;
    };
    return el(
      'div',
      { class: 'turner', role: 'group', 'aria-label': 'Versions' },
      step(-1, 'left', 'Previous version', p.index === 0),
      el('span', {}, `${p.index + 1} / ${p.of}`),
      step(1, 'right', 'Next version', p.index === p.of - 1),
    );
  }

  /** Puts a field in the place of the text. */
  edit(): void {
    if (this.root.classList.contains('editing')) return;
    const field = el('textarea', {
      'aria-label': 'Edit the message',
      rows: Math.min(14, this.m.text.split('\n').length + 1),
    });
    field.value = this.m.text;
    const close = () => {
      const held = form.contains(document.activeElement);
      form.remove();
      this.root.classList.remove('editing');
      if (held) this.bar.querySelector<HTMLElement>('[aria-label="Edit"]')?.focus({ preventScroll: true });
    };
    const save = () => {
      if (this.deeds.edit(this.m, field.value)) close();
    };
    const label = this.m.role === 'user' ? 'Send' : 'Save';
    const form = el(
      'form',
      { class: 'editor', onsubmit: submitting(save) },
      field,
      el(
        'div',
        { class: 'row end' },
        el('button', { type: 'button', onclick: close }, 'Cancel'),
        el('button', { type: 'submit', class: 'main' }, label),
      ),
    );
    field.addEventListener('keydown', (e) => {
      if (e.key === 'Escape') {
        e.stopPropagation();
        close();
      }
      if (sends(e, this.m.role === 'user' && this.deeds.enterSends())) {
        e.preventDefault();
        save();
      }
    });
    this.root.classList.add('editing');
    this.body.after(form);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  /** The tools that the model calls, with fields for what they return while nobody has answered. */
  private calls(calls: readonly ToolCall[], open: boolean): HTMLElement {
    const fields: HTMLTextAreaElement[] = [];
    const items = calls.map((c) => {
      const field = el('textarea', {
        rows: 2,
        placeholder: 'What the tool returns',
        'aria-label': `Result of ${c.name}`,
        oninput: () => typed.set(c, field.value),
      });
      field.value = typed.get(c) ?? '';
      fields.push(field);
      return el(
        'div',
        { class: 'call' },
        el('p', {}, icon('tool'), el('code', {}, c.name)),
        el('pre', { tabindex: 0 }, indented(c.arguments)),
        open && field,
      );
    });
    const send = () =>
      this.deeds.results(
        this.m,
        fields.map((f) => f.value),
      );
    return el(
      'form',
      { class: 'calls', onsubmit: submitting(send) },
      ...items,
      open &&
        el(
          'div',
          { class: 'row end' },
          el('button', { type: 'submit', class: 'main' }, count(calls.length, 'result').replace(/^\d+/, 'Send')),
        ),
    );
  }
}

/** A listener for a form that stays on the page. */
function submitting(run: () => void): (e: Event) => void {
  return (e) => {
    e.preventDefault();
    run();
  };
}

function fileChip(a: { name: string; text: string }): HTMLElement {
  return el(
    'details',
    { class: 'file' },
    el('summary', {}, icon('file'), el('span', {}, a.name), el('small', {}, bytes(a.text.length))),
    el('pre', { tabindex: 0 }, a.text.slice(0, 20_000)),
  );
}

function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function recordText(r: Record): string {
  const parts = [r.model, r.where === 'server' ? 'server' : 'this device'];
  if (r.tokens) parts.push(count(r.tokens, 'token'));
  if (r.tokensPerSecond) parts.push(`${r.tokensPerSecond.toFixed(1)} tokens/s`);
  if (r.promptTokens && r.promptSeconds)
    parts.push(
      `prompt: ${count(r.promptTokens, 'token')} ${r.cachedTokens ? `(${r.cachedTokens.toLocaleString('en')} cached) ` : ''}in ${seconds(r.promptSeconds)}`,
    );
  return parts.join(' · ');
}

/** What is worth saying of how an answer ended. */
function noteOf(r: Record): string | undefined {
  const dropped = r.droppedTokens
    ? `The conversation is longer than the context: the oldest ${count(r.droppedTokens, 'token')} were left out. `
    : '';
  if (r.end === 'error') return `${dropped}${r.error ?? 'The answer failed.'}`;
  if (r.end === 'aborted') return `${dropped}Stopped.`;
  if (r.end === 'open') return 'Not complete: the page was closed, or another tab is still writing it.';
  if (r.end === 'length') return `${dropped}Cut off: the limit of tokens, or the end of the context, was reached.`;
  return dropped || undefined;
}
