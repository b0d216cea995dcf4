// The field in which a message is written, and the files that go with it.
import { $, button, el, input, sends } from '../lib/dom.js';
import { bytes } from '../lib/format.js';
import { icon } from '../lib/icons.js';
import { complain, toast } from '../lib/notices.js';
import type { Attachment } from './tree.js';

/** Text that is pasted and longer than this, in characters, becomes an attachment. */
const long = 4000;

/** The largest file that can be attached, in bytes: it has to fit into a context. */
const largest = 1_000_000;

/** The text of a file. One that is not text is an error. */
export async function readText(file: Blob & { name: string }): Promise<Attachment> {
  if (file.size > largest)
    throw refused(`${file.name} has ${bytes(file.size)}: at most ${bytes(largest)} can be attached.`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw refused(`${file.name} is not a text file: models here read nothing but text (UTF-8).`);
  }
  if (text.includes('\0')) throw refused(`${file.name} is not a text file: models here read nothing but text.`);
  return { name: file.name, text };
}

function refused(message: string): Error {
  return Object.assign(new Error(message), { code: 'invalid-argument' });
}

export interface ComposerDeeds {
  send(text: string, attachments: Attachment[]): boolean; // false: not now
  stop(): void;
  editLast(): void;
  /** The text or the attachments have changed. */
  changed(): void;
  /** Whether Enter alone sends. */
  enterSends(): boolean;
}

/** What is written and not sent yet. */
export interface Draft {
  text: string;
  attachments: Attachment[];
}

export class Composer {
  private attachments: Attachment[] = [];
  private readonly field = $<HTMLTextAreaElement>('message');

  constructor(private readonly deeds: ComposerDeeds) {
    const { field } = this;
    field.addEventListener('input', () => this.changed());
    field.addEventListener('keydown', (e) => this.key(e));
    field.addEventListener('paste', (e) => this.taken(e, e.clipboardData));
    $('composer').addEventListener('submit', (e) => {
      e.preventDefault();
      this.send();
    });
    button('stop').addEventListener('click', () => deeds.stop());
    button('attach').addEventListener('click', () => input('files').click());
    input('files').addEventListener('change', () => {
      void this.attach(Array.from(input('files').files ?? []));
      input('files').value = '';
    });
    this.takeDrops();
    this.changed();
  }

  private key(e: KeyboardEvent): void {
    if (sends(e, this.deeds.enterSends())) {
      e.preventDefault();
      this.send();
    }
    if (e.key === 'ArrowUp' && this.field.value === '') {
      e.preventDefault();
      this.deeds.editLast();
    }
  }

  private send(): void {
    const text = this.field.value;
    if (text.trim() === '' && this.attachments.length === 0) return;
    if (!this.deeds.send(text, this.attachments)) return;
    this.attachments = [];
    this.set('');
  }

  get draft(): Draft {
    return { text: this.field.value, attachments: this.attachments };
  }

  set draft(d: Draft) {
    this.field.value = d.text;
    this.attachments = [...d.attachments];
    this.changed();
  }

  /** Puts a text into the field. */
  set(text: string): void {
    this.field.value = text;
    this.changed();
    this.field.focus();
  }

  focus(): void {
    this.field.focus();
  }

  private changed(): void {
    const { field } = this;
    field.style.height = 'auto';
    field.style.height = `${Math.min(field.scrollHeight, innerHeight * 0.4)}px`;
    button('send').disabled = field.value.trim() === '' && this.attachments.length === 0;
    $('attached').replaceChildren(
      ...this.attachments.map((a) =>
        el(
          'span',
          { class: 'chip' },
          icon('file'),
          el('span', {}, a.name),
          el(
            'button',
            { type: 'button', class: 'tool', 'aria-label': `Remove ${a.name}`, onclick: () => this.drop(a) },
            icon('close'),
          ),
        ),
      ),
    );
    $('attached').hidden = this.attachments.length === 0;
    this.deeds.changed();
  }

  private drop(a: Attachment): void {
    this.attachments = this.attachments.filter((o) => o !== a);
    this.changed();
    this.field.focus();
  }

  async attach(files: readonly File[]): Promise<void> {
    for (const file of files) {
      try {
        this.attachments.push(await readText(file));
      } catch (e) {
        complain(e);
      }
    }
    this.changed();
    this.field.focus();
  }

  private taken(e: Event, data: DataTransfer | null): void {
    const files = Array.from(data?.files ?? []);
    if (files.length > 0) {
      e.preventDefault();
      void this.attach(files);
      return;
    }
    const text = e.type === 'paste' ? (data?.getData('text/plain') ?? '') : '';
    if (text.length <= long) return;
    e.preventDefault();
    this.attachText(text);
  }

  /** Attaches a long text that was pasted, unless the visitor wants it in the field. */
  private attachText(text: string): void {
    const a = { name: 'pasted.txt', text };
    this.attachments.push(a);
    this.changed();
    const back = () => {
      this.drop(a);
      this.field.setRangeText(text, this.field.selectionStart, this.field.selectionEnd, 'end');
      this.changed();
    };
    toast('Attached as a file, as it is long', { label: 'Put it in the message', run: back });
  }

  private takeDrops(): void {
    const zone = $('chat');
    const over = (on: boolean) => zone.classList.toggle('dropping', on);
    zone.addEventListener('dragover', (e) => {
      if (!e.dataTransfer?.types.includes('Files')) return;
      e.preventDefault();
      over(true);
    });
    zone.addEventListener('dragleave', (e) => {
      if (!zone.contains(e.relatedTarget as Node | null)) over(false);
    });
    zone.addEventListener('drop', (e) => {
      over(false);
      this.taken(e, e.dataTransfer);
    });
  }

  /** Shows whether an answer is being written, so that it can be stopped. */
  set writing(on: boolean) {
    const held = document.activeElement === button(on ? 'send' : 'stop');
    button('send').hidden = on;
    button('stop').hidden = !on;
    if (held) button(on ? 'stop' : 'send').focus();
  }

  set placeholder(text: string) {
    this.field.placeholder = text;
    this.field.setAttribute('aria-label', text);
  }
}
