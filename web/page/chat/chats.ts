// The conversations and the answer that is being written. What is shown is view.ts's part.
import { type Engine, type Listener, Speed } from '../engine/engine.js';
import { button } from '../lib/dom.js';
import { complain } from '../lib/notices.js';
import type { Settings } from '../settings/settings.js';
import * as store from './store.js';
import { failed, finish, Taken } from './taken.js';
import {
  type Attachment,
  add,
  branch,
  type Conversation,
  forked,
  listed,
  type Message,
  newConversation,
  remove,
  show,
  siblings,
  snapshot,
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
  speed: Speed;
}

/** How often an unfinished answer is stored, in ms: what a reload would lose. */
const storing = 2000;

/** Tells of changes: `list`, `shown` (another branch or conversation), `text` and `writing` (begun or ended). */
export class Chats extends EventTarget {
  list: Conversation[] = [];
  current: Conversation = newConversation();
  writing: Writing | undefined;
  private readonly gone = new WeakSet<Conversation>(); // deleted: nothing stores them any more
  private refused = false; // the browser stores nothing, and the visitor knows

  constructor(
    private readonly engine: () => Engine | undefined,
    private readonly settings: () => Settings,
  ) {
    super();
    store.listen(
      (id) => void this.changedElsewhere(id).catch(complain),
      (id) => this.erasedElsewhere(id),
    );
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
    if (this.gone.has(c) || (c.messages.length === 0 && !this.list.includes(c))) return;
    this.place(c);
    await this.keep(c);
  }

  private async keep(c: Conversation): Promise<void> {
    try {
      await store.save(c);
      this.refused = false;
    } catch (e) {
      if (!this.refused) complain(e, [{ label: 'Export all chats', run: () => button('export-all').click() }]);
      this.refused = true;
    }
  }

  private place(c: Conversation): void {
    if (!this.list.includes(c)) this.list.push(c);
    this.list.sort((a, b) => b.updated - a.updated);
    this.tell('list');
  }

  private async changedElsewhere(id: string): Promise<void> {
    const theirs = await store.get(id);
    if (!theirs) return;
    const mine = this.list.find((c) => c.id === id);
    if (mine) store.take(mine, theirs, this.writing?.conversation === mine ? this.writing.message : undefined);
    this.place(mine ?? theirs);
    if (mine === this.current) this.tell('shown');
  }

  private erasedElsewhere(id: string): void {
    const c = this.list.find((o) => o.id === id);
    if (c) this.drop(c);
  }

  begin(): void {
    this.select(newConversation(this.settings().system));
  }

  select(c: Conversation): void {
    this.current = c;
    this.tell('shown');
    this.tell('list');
  }

  /** Shows the conversation above or below the current one in the list. */
  step(by: -1 | 1): void {
    const list = listed(this.list);
    const at = list.indexOf(this.current);
    const next = list[at < 0 ? 0 : at + by];
    if (next) this.select(next);
  }

  async rename(c: Conversation, title: string): Promise<void> {
    if (title.trim() === '') return;
    c.title = title.trim();
    c.named = true;
    await this.save(c);
  }

  async pin(c: Conversation): Promise<void> {
    c.pinned = !c.pinned;
    await this.save(c);
  }

  /** Takes a conversation out of the list. */
  private drop(c: Conversation): void {
    this.gone.add(c);
    if (this.writing?.conversation === c) this.stop();
    this.list = this.list.filter((o) => o !== c);
    if (this.current === c) this.begin();
    this.tell('list');
  }

  /** Deletes conversations; the function that it returns brings them back. */
  async delete(list: readonly Conversation[]): Promise<() => Promise<void>> {
    for (const c of list) {
      this.drop(c);
      await store.erase(c.id).catch(complain);
    }
    return async () => {
      for (const c of list) {
        this.gone.delete(c);
        await this.save(c);
      }
      if (list[0]) this.select(list[0]);
    };
  }

  /** Adds conversations that were exported. */
  async import(list: readonly Conversation[]): Promise<void> {
    for (const c of list) await this.save(c);
    if (list[0]) this.select(list[0]);
  }

  /** Begins a conversation with the branch up to a message. */
  async fork(m: Message): Promise<void> {
    const c = forked(this.current, m);
    await this.save(c);
    this.select(c);
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

  /** Has the model go on with an answer that was stopped, cut off or corrected. */
  async goOn(m: Message): Promise<void> {
    await this.answer(this.current, m);
  }

  /** Has the model end its thoughts and answer. */
  async answerNow(): Promise<void> {
    const w = this.writing;
    if (!w) return;
    w.ender.abort();
    await new Promise<void>((resolve) => this.addEventListener('writing', () => resolve(), { once: true }));
    const { record, reasoning, text } = w.message;
    if (record?.end === 'aborted' && reasoning && text === '') await this.answer(w.conversation, w.message);
  }

  /** Removes a message and what follows it; the function that it returns brings them back. */
  async remove(m: Message): Promise<(() => Promise<void>) | undefined> {
    const c = this.current;
    if (this.writing?.conversation === c) return undefined;
    const restore = snapshot(c);
    remove(c, m);
    this.tell('shown');
    await this.save(c);
    return async () => {
      restore();
      if (c === this.current) this.tell('shown');
      await this.save(c);
    };
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

  /** Has the model answer what is said last, or go on with an answer. */
  private async answer(c: Conversation, begun?: Message): Promise<void> {
    const engine = this.engine();
    if (!engine || this.writing) return;
    const said = branch(c, begun ? begun.id : c.leaf);
    const settings = { ...this.settings() };
    const turns = turnsOf(c.system, said, begun);
    if (begun) Object.assign(settings, { form: 'text', useTools: false }); // these hold whole answers to a form
    const record = { model: engine.name, where: engine.where, end: 'open' } as const;
    const message = begun ?? add(c, c.leaf, { role: 'assistant', text: '', record });
    if (begun) {
      const thinkingSeconds = begun.record?.thinkingSeconds;
      message.record = { ...record, ...(thinkingSeconds !== undefined && { thinkingSeconds }) };
    }
    const w: Writing = {
      conversation: c,
      message,
      ender: new AbortController(),
      begun: performance.now(),
      read: undefined,
      speed: new Speed(),
    };
    this.writing = w;
    this.tell('shown');
    this.tell('writing');
    void this.save(c);
    const saving = setInterval(() => void (this.gone.has(c) || this.keep(c)), storing);
    const taken = new Taken(message, engine.chats, () => this.tell('text'));
    try {
      const on = this.listener(w, taken);
      finish(message, await engine.answer(turns, settings, w.ender.signal, on, begun !== undefined));
    } catch (e) {
      failed(message, e, w.speed);
      this.dispatchEvent(new CustomEvent('failed', { detail: e }));
    }
    clearInterval(saving);
    taken.end();
    this.writing = undefined;
    c.updated = Date.now();
    this.tell('text');
    if (c === this.current) this.tell('shown');
    this.tell('writing');
    await this.save(c);
  }

  private listener(w: Writing, taken: Taken): Listener {
    return {
      text: (piece) => taken.text(piece),
      reasoning: (piece) => taken.reasoning(piece),
      token: () => void w.speed.note(),
      prompt: (done, total) => {
        w.read = { done, total };
        this.tell('text');
      },
    };
  }
}
