// The conversations and the answer that is being written. What is shown is view.ts's part.
import type { Engine, Listener, Outcome } from '../engine/engine.js';
import { aborted, complain } from '../lib/notices.js';
import type { Settings } from '../settings/settings.js';
import * as store from './store.js';
import { split } from './thinking.js';
import {
  type Attachment,
  add,
  branch,
  type Conversation,
  type Message,
  newConversation,
  remove,
  show,
  siblings,
} from './tree.js';
import { turnsOf } from './turns.js';

/** An answer that is being written. */
export interface Writing {
  conversation: Conversation;
  message: Message;
  ender: AbortController;
  begun: number;
  /** Of the prompt, tokens that have been read. */
  read: { done: number; total: number } | undefined;
}

/** Tells of changes: `list`, `shown` (another branch or conversation), `text` and `writing` (begun or ended). */
export class Chats extends EventTarget {
  list: Conversation[] = [];
  current: Conversation = newConversation();
  writing: Writing | undefined;

  constructor(
    private readonly engine: () => Engine | undefined,
    private readonly settings: () => Settings,
  ) {
    super();
  }

  private tell(what: 'list' | 'shown' | 'text' | 'writing'): void {
    this.dispatchEvent(new Event(what));
  }

  /** Reads what the browser has kept. */
  async open(id: string | undefined): Promise<void> {
    try {
      this.list = await store.all();
    } catch (e) {
      complain(e);
    }
    const found = this.list.find((c) => c.id === id);
    if (found) this.current = found;
    this.tell('list');
    this.tell('shown');
  }

  /** Keeps a conversation, as soon as there is something in it. */
  async save(c: Conversation): Promise<void> {
    if (c.messages.length === 0 && !this.list.includes(c)) return;
    if (!this.list.includes(c)) this.list.push(c);
    this.list.sort((a, b) => b.updated - a.updated);
    this.tell('list');
    await store.save(c).catch(complain);
  }

  begin(): void {
    this.select(newConversation(this.settings().system));
  }

  select(c: Conversation): void {
    this.current = c;
    this.tell('shown');
    this.tell('list');
  }

  async rename(c: Conversation, title: string): Promise<void> {
    if (title.trim() === '') return;
    c.title = title.trim();
    c.named = true;
    await this.save(c);
  }

  /** Deletes a conversation; the function that it returns brings it back. */
  async delete(c: Conversation): Promise<() => Promise<void>> {
    if (this.writing?.conversation === c) this.stop();
    this.list = this.list.filter((o) => o !== c);
    await store.erase(c.id).catch(complain);
    if (this.current === c) this.begin();
    this.tell('list');
    return async () => {
      await this.save(c);
      this.select(c);
    };
  }

  /** Adds conversations that were exported. */
  async import(list: readonly Conversation[]): Promise<void> {
    for (const c of list) await this.save(c);
    if (list[0]) this.select(list[0]);
  }

  /** Sends a message, and has it answered. */
  async send(text: string, attachments: Attachment[]): Promise<void> {
    const c = this.current;
    add(c, c.leaf, { role: 'user', text, ...(attachments.length > 0 && { attachments }) });
    await this.answer(c);
  }

  /** Sends what tools have returned. */
  async results(m: Message, results: readonly string[]): Promise<void> {
    const c = this.current;
    let parent = m.id;
    for (const [i, text] of results.entries())
      parent = add(c, parent, { role: 'tool', text, call: m.calls![i]!.id }).id;
    await this.answer(c);
  }

  /** Changes a message: one of the visitor's is sent anew, beside the old one; an answer is corrected. */
  async edit(m: Message, text: string): Promise<void> {
    const c = this.current;
    if (m.role !== 'user') {
      m.text = text;
      this.tell('shown');
      return this.save(c);
    }
    add(c, m.parent, { role: 'user', text, ...(m.attachments && { attachments: m.attachments }) });
    await this.answer(c);
  }

  /** Has a message answered once more: the old answer stays beside the new one. */
  async again(m: Message): Promise<void> {
    const c = this.current;
    if (this.writing || !this.engine()) return;
    c.leaf = m.role === 'assistant' ? m.parent : m.id;
    await this.answer(c);
  }

  async remove(m: Message): Promise<void> {
    const c = this.current;
    if (this.writing?.conversation === c) return;
    remove(c, m);
    this.tell('shown');
    await this.save(c);
  }

  async turn(m: Message, by: -1 | 1): Promise<void> {
    const c = this.current;
    const all = siblings(c, m);
    const next = all[all.indexOf(m) + by];
    if (!next || this.writing?.conversation === c) return;
    show(c, next);
    this.tell('shown');
    await this.save(c);
  }

  stop(): void {
    this.writing?.ender.abort();
  }

  /** Has the model answer what is said last. */
  private async answer(c: Conversation): Promise<void> {
    const engine = this.engine();
    if (!engine || this.writing) return;
    const said = branch(c);
    const settings = { ...this.settings() };
    const message = add(c, c.leaf, {
      role: 'assistant',
      text: '',
      record: { model: engine.name, where: engine.where, end: 'aborted' },
    });
    const w: Writing = {
      conversation: c,
      message,
      ender: new AbortController(),
      begun: performance.now(),
      read: undefined,
    };
    this.writing = w;
    this.tell('shown');
    this.tell('writing');
    void this.save(c);
    const taken = new Taken(message, engine.chats, () => this.tell('text'));
    try {
      const on: Listener = {
        text: (piece) => taken.text(piece),
        reasoning: (piece) => taken.reasoning(piece),
        token: () => {},
        prompt: (done, total) => {
          w.read = { done, total };
          this.tell('text');
        },
      };
      finish(message, await engine.answer(turnsOf(c.system, said), settings, w.ender.signal, on));
    } catch (e) {
      failed(message, e);
      this.dispatchEvent(new CustomEvent('failed', { detail: e }));
    }
    taken.end();
    this.writing = undefined;
    c.updated = Date.now();
    this.tell('text');
    if (c === this.current) this.tell('shown');
    this.tell('writing');
    await this.save(c);
  }
}

function finish(m: Message, o: Outcome): void {
  Object.assign(m.record!, {
    end: o.end,
    promptTokens: o.promptTokens,
    droppedTokens: o.droppedTokens,
    tokens: o.tokens,
    tokensPerSecond: o.tokensPerSecond,
  });
  if (o.calls.length > 0) m.calls = o.calls;
}

function failed(m: Message, e: unknown): void {
  const r = m.record!;
  r.end = aborted(e) ? 'aborted' : 'error';
  if (r.end === 'error') r.error = explained(e instanceof Error ? e.message : String(e), r.where);
}

/** An error as a sentence, with what can be done about a conversation that is too long. */
function explained(message: string, where: 'gpu' | 'server'): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  if (!/too long|context/.test(message)) return text;
  const more = where === 'gpu' ? ', or have the settings leave out its oldest part' : '';
  return `${text.replace(/\.?$/, '.')} Begin a new chat, shorten this one${more}.`;
}

/** Takes an answer as it comes, and sorts what belongs to the thoughts. */
class Taken {
  private all = '';
  private readonly begun = performance.now();

  constructor(
    private readonly m: Message,
    private readonly thinks: boolean,
    private readonly changed: () => void,
  ) {}

  text(piece: string): void {
    this.all += piece;
    const parts = this.thinks && !this.apart ? split(this.all) : { reasoning: '', text: this.all, thinking: false };
    if (parts.reasoning) this.m.reasoning = parts.reasoning;
    if (!parts.thinking) this.over();
    this.m.text = parts.text;
    this.changed();
  }

  private apart = false; // the engine keeps thoughts apart

  reasoning(piece: string): void {
    this.apart = true;
    this.m.reasoning = (this.m.reasoning ?? '') + piece;
    this.changed();
  }

  private over(): void {
    if (this.m.reasoning) this.m.record!.thinkingSeconds ??= (performance.now() - this.begun) / 1000;
  }

  end(): void {
    this.over();
  }
}
