// The list of conversations.
import { files } from '../lazy.js';
import { $, button, download, el, input, paced } from '../lib/dom.js';
import { renew } from '../lib/focus.js';
import { ago, count } from '../lib/format.js';
import { icon } from '../lib/icons.js';
import { complain, toast } from '../lib/notices.js';
import type { Chats } from './chats.js';
import { type Conversation, listed } from './tree.js';

export class Sidebar {
  private readonly narrow = matchMedia('(max-width: 860px)');
  private chosen: Conversation | undefined; // whose menu is open
  private renaming = false; // a field stands in the list

  constructor(private readonly chats: Chats) {
    const show = paced(() => this.show());
    chats.addEventListener('list', show);
    button('new-chat').addEventListener('click', () => {
      chats.begin();
      this.close();
      $('message').focus();
    });
    button('open-sidebar').addEventListener('click', () => this.open());
    $('shade').addEventListener('click', () => this.close());
    $('sidebar').addEventListener('keydown', (e) => {
      if (e.key !== 'Escape' || !this.narrow.matches) return;
      e.stopPropagation();
      this.close();
    });
    this.narrow.addEventListener('change', () => this.settle());
    input('search').addEventListener('keydown', (e) => {
      if (e.key === 'Escape' && input('search').value !== '') e.stopPropagation(); // it empties the field
    });
    input('search').addEventListener(
      'input',
      paced(() => this.show(), 200),
    );
    input('import').addEventListener('change', () => void this.import());
    button('import-button').addEventListener('click', () => input('import').click());
    button('export-all').addEventListener('click', () => void this.export(chats.list, 'conversations.json'));
    button('delete-all').addEventListener('click', () => void this.delete([...chats.list]));
    this.menu();
    this.settle();
  }

  private open(): void {
    document.body.classList.remove('no-sidebar');
    document.body.classList.toggle('with-sidebar', this.narrow.matches);
    this.settle();
    button('new-chat').focus();
  }

  /** Shows the list, or gives its room to the conversation. */
  toggle(): void {
    const { classList } = document.body;
    if (this.narrow.matches) {
      if (classList.contains('with-sidebar')) this.close();
      else this.open();
      return;
    }
    classList.toggle('no-sidebar');
    this.settle();
  }

  /** Shows the list if it is hidden. */
  private reveal(): void {
    if ($('sidebar').inert) this.open();
  }

  /** Goes to the field that searches. */
  search(): void {
    this.reveal();
    if (!$('search-row').hidden) input('search').select();
  }

  close(): void {
    if (!document.body.classList.contains('with-sidebar')) return;
    document.body.classList.remove('with-sidebar');
    this.settle();
    button('open-sidebar').focus();
  }

  /** Where the list covers the page, it cannot be reached while it is closed, nor the page while it is open. */
  private settle(): void {
    const covers = this.narrow.matches;
    const open = document.body.classList.contains('with-sidebar');
    $('sidebar').inert = covers ? !open : document.body.classList.contains('no-sidebar');
    $('main').inert = covers && open;
    $('shade').hidden = !(covers && open);
  }

  private show(): void {
    if (this.renaming || $('chat-menu').matches(':popover-open')) return; // the list stays as it is meanwhile
    const { list, current } = this.chats;
    const wanted = input('search').value.trim().toLowerCase();
    const found = listed(list).filter((c) => wanted === '' || contains(c, wanted));
    const nodes: HTMLElement[] = [];
    let group = '';
    for (const c of found) {
      const when = c.pinned ? 'Pinned' : ago(c.updated);
      if (when !== group) nodes.push(el('li', { class: 'when' }, when));
      group = when;
      nodes.push(this.item(c, c === current));
    }
    if (nodes.length === 0)
      nodes.push(el('li', { class: 'none' }, wanted ? 'Nothing found.' : 'Your chats are kept here, in this browser.'));
    renew($('conversations'), nodes, button('new-chat'));
    $('search-row').hidden = list.length < 2 && wanted === '';
    button('export-all').disabled = button('delete-all').disabled = list.length === 0;
  }

  private item(c: Conversation, current: boolean): HTMLElement {
    const open = el(
      'button',
      { type: 'button', class: 'open', title: c.title, 'aria-current': current ? 'true' : undefined },
      c.title,
    );
    open.addEventListener('click', () => {
      this.chats.select(c);
      this.close();
    });
    const more = el(
      'button',
      { type: 'button', class: 'tool', 'aria-label': `More for “${c.title}”`, 'aria-haspopup': 'menu' },
      icon('more'),
    );
    more.addEventListener('click', () => this.openMenu(c, more));
    return el('li', { class: current ? 'current' : undefined, 'data-id': c.id }, open, more);
  }

  private openMenu(c: Conversation, at: HTMLElement): void {
    this.chosen = c;
    const menu = $('chat-menu');
    button('menu-pin').lastChild!.textContent = c.pinned ? 'Unpin' : 'Pin';
    menu.showPopover();
    const { left, bottom, top } = at.getBoundingClientRect();
    const below = bottom + menu.offsetHeight < innerHeight;
    menu.style.left = `${Math.max(8, Math.min(left, innerWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${below ? bottom + 4 : top - menu.offsetHeight - 4}px`;
    menu.querySelector('button')!.focus();
  }

  private menu(): void {
    const menu = $('chat-menu');
    const on = (id: string, run: (c: Conversation) => void) =>
      button(id).addEventListener('click', () => {
        menu.hidePopover();
        if (this.chosen) run(this.chosen);
      });
    on('menu-pin', (c) => void this.chats.pin(c));
    on('menu-rename', (c) => this.rename(c));
    on('menu-markdown', (c) => void this.export(c, 'md'));
    on('menu-json', (c) => void this.export(c, 'json'));
    on('menu-delete', (c) => void this.delete([c]));
    menu.addEventListener('toggle', () => this.show());
    menu.addEventListener('keydown', (e) => {
      const all = Array.from(menu.querySelectorAll('button'));
      const step = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0;
      if (step === 0) return;
      e.preventDefault();
      all[(all.indexOf(document.activeElement as HTMLButtonElement) + step + all.length) % all.length]!.focus();
    });
  }

  async delete(list: readonly Conversation[]): Promise<void> {
    const back = await this.chats.delete(list);
    const what = list.length === 1 ? `“${list[0]!.title}”` : count(list.length, 'chat');
    toast(`Deleted ${what}`, () => void back());
  }

  /** Saves one conversation as a file of that ending, or a list of them under that name. */
  private async export(what: Conversation | readonly Conversation[], as: string): Promise<void> {
    try {
      const { fileName, toJSON, toMarkdown } = await files();
      if ('id' in what && as === 'md') download(fileName(what, as), 'text/markdown', toMarkdown(what));
      else if ('id' in what) download(fileName(what, as), 'application/json', toJSON([what]));
      else download(as, 'application/json', toJSON(what));
    } catch (e) {
      complain(e);
    }
  }

  rename(c: Conversation): void {
    if (this.renaming) return;
    this.reveal();
    const place = `#conversations [data-id="${CSS.escape(c.id)}"]`;
    const row = document.querySelector(place);
    if (!row) return; // the search leaves it out
    const field = el('input', { type: 'text', 'aria-label': 'New title', maxlength: 200 });
    field.value = c.title;
    this.renaming = true;
    const end = (keep: boolean) => {
      if (!this.renaming) return;
      this.renaming = false;
      if (keep && field.value !== c.title) void this.chats.rename(c, field.value);
      this.show();
    };
    field.addEventListener('keydown', (e) => {
      if (e.key === 'Escape') e.stopPropagation();
      if (e.key !== 'Enter' && e.key !== 'Escape') return;
      end(e.key === 'Enter');
      document.querySelector<HTMLElement>(`${place} .open`)?.focus();
    });
    field.addEventListener('blur', () => end(true));
    row.replaceChildren(field);
    field.focus();
    field.select();
  }

  private async import(): Promise<void> {
    const chosen = Array.from(input('import').files ?? []);
    input('import').value = '';
    for (const file of chosen) {
      try {
        const { read } = await files();
        await this.chats.import(read(await file.text()));
      } catch (e) {
        complain(Object.assign(new Error(`${file.name}: ${(e as Error).message}`), { code: 'invalid-argument' }));
      }
    }
  }
}

function contains(c: Conversation, text: string): boolean {
  return c.title.toLowerCase().includes(text) || c.messages.some((m) => m.text.toLowerCase().includes(text));
}
