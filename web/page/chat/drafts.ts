// What is written and not sent yet: each conversation has its own, which survives a reload of the tab. Beside it the page says how
// many tokens it has.
import type { Engine } from '../engine/engine.js';
import { $ } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { recall, remember } from '../lib/storage.js';
import type { Chats } from './chats.js';
import type { Composer, Draft } from './composer.js';
import { written } from './tree.js';

const storage = 'llama-webgpu-drafts';
const none: Draft = { text: '', attachments: [] };

export class Drafts {
  private readonly kept: Map<string, Draft>;
  private id: string | undefined; // of the conversation whose draft is in the field
  private at = '';
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly chats: Chats,
    private readonly composer: Composer,
    private readonly engine: () => Engine | undefined,
  ) {
    this.kept = restore(recall(storage, 'sessionStorage'));
    chats.addEventListener('shown', () => this.shown());
    addEventListener('pagehide', () => this.store());
  }

  /** One that has no messages is the same after a reload, though it has another id. */
  private key(): string {
    const { id, messages } = this.chats.current;
    return messages.length > 0 ? id : '';
  }

  private shown(): void {
    const key = this.key();
    const same = this.id === this.chats.current.id;
    if (same && key !== this.at) this.kept.delete(this.at); // its first message has been sent
    this.at = key;
    if (same) return;
    this.id = this.chats.current.id;
    this.composer.draft = this.kept.get(key) ?? none;
  }

  /** Notes what is in the field now. */
  changed(): void {
    const { draft } = this.composer;
    const empty = draft.text === '' && draft.attachments.length === 0;
    if (!empty) this.kept.set(this.at, draft);
    else this.kept.delete(this.at);
    clearTimeout(this.timer);
    $('draft-tokens').hidden = true;
    if (!empty) this.timer = setTimeout(() => void this.tokens(draft), 500);
  }

  private async tokens(draft: Draft): Promise<void> {
    if (this.chats.writing) return; // a model does one thing at a time
    const message = { id: '', parent: undefined, role: 'user', created: 0, ...draft } as const;
    const n = await this.engine()
      ?.count(written(message))
      .catch(() => undefined); // it is not worth a message
    if (n === undefined || this.composer.draft.text !== draft.text) return;
    $('draft-tokens').textContent = `this message: ${count(n, 'token')}`;
    $('draft-tokens').hidden = false;
  }

  private store(): void {
    const list = [...this.kept].filter(([, d]) => JSON.stringify(d).length < 200_000);
    remember(storage, list.length > 0 ? JSON.stringify(list) : undefined, 'sessionStorage');
  }
}

function restore(text: string | null): Map<string, Draft> {
  try {
    return new Map(JSON.parse(text ?? '[]') as [string, Draft][]);
  } catch {
    return new Map();
  }
}
