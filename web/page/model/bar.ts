// What the page says of the model: its name and where it runs, how far it is loaded, how much of its context is used, and its
// card.
import type { Chats } from '../chat/chats.js';
import { branch } from '../chat/tree.js';
import { $, button, closesBeside, el, facts, paced } from '../lib/dom.js';
import { renew } from '../lib/focus.js';
import { bytes, count } from '../lib/format.js';
import { icon } from '../lib/icons.js';
import { announce } from '../lib/notices.js';
import { keepStorage } from '../lib/storage.js';
import { cardRows, loadedRows, type Row } from './card.js';
import { type Choice, type Models, urlOf } from './models.js';

export class ModelBar {
  private kept = '';

  constructor(
    private readonly models: Models,
    private readonly chats: Chats,
    private readonly load: (c: Choice) => void,
    private readonly choose: () => void,
  ) {
    models.addEventListener('engine', () => this.changed());
    models.addEventListener('loading', () => this.loading());
    models.addEventListener('list', () => this.welcome());
    for (const what of ['shown', 'writing'] as const) chats.addEventListener(what, () => this.used());
    chats.addEventListener(
      'text',
      paced(() => this.used(), 300),
    );
    button('cancel').addEventListener('click', () => models.loading?.ender.abort());
    button('open-card').addEventListener('click', () => this.card());
    const card = $<HTMLDialogElement>('card');
    button('close-card').addEventListener('click', () => card.close());
    closesBeside(card);
  }

  show(): void {
    this.changed();
    this.loading();
  }

  private changed(): void {
    const { engine, manifest } = this.models;
    const here = engine?.where === 'gpu';
    const details =
      engine && [manifest?.quantization?.format, here ? 'this device' : 'server'].filter(Boolean).join(' · ');
    button('model').replaceChildren(
      icon(engine && !here ? 'server' : 'chip'),
      el('span', { class: 'name' }, engine?.name ?? 'Choose a model'),
      el('small', {}, details ?? ''),
      icon('down'),
    );
    button('open-card').hidden = !engine;
    if (engine) announce(`${engine.name} is ready.`);
    this.kept = '';
    if (here) void this.keep();
    this.welcome();
    this.used();
  }

  /** Has the browser keep the model; the answer may take as long as the visitor does. */
  private async keep(): Promise<void> {
    const { local } = this.models;
    const cache = local?.info.cache;
    if (!cache || cache.where === 'none') {
      this.kept = `no: ${cache?.reason ?? ''}`;
      return;
    }
    const place = cache.where === 'opfs' ? 'in this browser' : 'in the browser’s cache';
    this.kept = place;
    const keeps = await keepStorage();
    if (local === this.models.local) this.kept = `${place}, until ${keeps ? 'you remove it' : 'it needs the space'}`;
    if ($<HTMLDialogElement>('card').open) this.rows();
  }

  private loading(): void {
    const { loading } = this.models;
    if (!loading && $('loading').contains(document.activeElement)) button('model').focus();
    $('loading').hidden = !loading;
    if (!loading) return;
    const { choice, progress: p } = loading;
    $('loading-name').textContent = choice.name;
    const bar = $<HTMLProgressElement>('progress');
    const there = p ? Math.min(p.total, Math.max(p.loaded, p.received)) : 0;
    if (p && there < p.total) bar.value = there / p.total;
    else bar.removeAttribute('value');
    if (choice.where === 'server') $('progress-text').textContent = 'The server loads it …';
    else if (!p) $('progress-text').textContent = 'Connecting …';
    else if (there >= p.total) $('progress-text').textContent = 'Compiling kernels …';
    else {
      const left = p.rate > 0 ? ` · ${Math.ceil((p.total - there) / p.rate)} s left` : '';
      const from = p.received === 0 ? ' · from this browser' : '';
      $('progress-text').textContent = `${bytes(there)} of ${bytes(p.total)} · ${bytes(p.rate)}/s${left}${from}`;
    }
  }

  /** Offers models where there is none yet. */
  private welcome(): void {
    const { engine, listed, adapter, running } = this.models;
    $('welcome').hidden = engine !== undefined;
    $('hello').textContent = engine
      ? engine.chats
        ? 'What shall we talk about?'
        : 'How shall the text begin?'
      : 'Choose a model to begin';
    $('hello-text').textContent = engine
      ? engine.chats
        ? `${engine.name} answers ${engine.where === 'gpu' ? 'in this page, on your GPU: nothing that you type leaves this device.' : 'on the server.'}`
        : `${engine.name} was not trained to chat: it continues what you write.`
      : 'It runs in this page, on your GPU, or on the server that the page comes from.';
    if (engine) return;
    const offers = listed.slice(0, 4).map((m) => {
      const here = el(
        'button',
        {
          type: 'button',
          class: adapter.there ? 'main' : undefined,
          disabled: !adapter.there,
          'aria-label': `Run here: ${m.title}`,
        },
        'Run here',
      );
      here.addEventListener('click', () => this.load({ where: 'gpu', name: m.name, url: urlOf(m.name) }));
      const there =
        running?.includes(m.name) &&
        el(
          'button',
          {
            type: 'button',
            class: adapter.there ? undefined : 'main',
            'aria-label': `Use the server: ${m.title}`,
          },
          'Use the server',
        );
      if (there) there.addEventListener('click', () => this.load({ where: 'server', name: m.name }));
      const details = [m.format, bytes(m.bytes)].filter(Boolean).join(' · ');
      return el(
        'div',
        { class: 'offer' },
        el('b', {}, m.title),
        el('small', {}, details),
        el('div', { class: 'row' }, here, there),
      );
    });
    const more = el(
      'button',
      { type: 'button', class: 'link', onclick: this.choose },
      listed.length > 4
        ? `All ${listed.length} models, or one of your own`
        : 'Open another bundle: an address, or a folder',
    );
    const none = !adapter.there && el('p', { class: 'note' }, adapter.text);
    renew($('welcome'), [...(none ? [none] : []), el('div', { class: 'offers' }, ...offers), more]);
  }

  /** How much of the context the conversation takes, as of its last answer. */
  private used(): void {
    const { writing, current } = this.chats;
    const context = this.models.engine?.context;
    const last = branch(current).findLast((m) => m.record?.promptTokens)?.record;
    const box = $('context');
    const live = writing?.conversation === current && writing.speed.tokens > 0 ? writing.speed : undefined;
    box.hidden = !live && (!context || !last);
    $('context-meter').hidden = live !== undefined;
    if (live) $('context-text').textContent = `${count(live.tokens, 'token')} · ${live.perSecond.toFixed(1)} tokens/s`;
    if (live || !context || !last) return;
    const tokens = Math.min(context, (last.promptTokens ?? 0) + (last.tokens ?? 0)); // the last one needs no place
    const speed = last.tokensPerSecond ? ` · ${last.tokensPerSecond.toFixed(1)} tokens/s` : '';
    $<HTMLProgressElement>('context-meter').value = Math.min(1, tokens / context);
    $('context-text').textContent = `${tokens.toLocaleString('en')} of ${count(context, 'token')} of context${speed}`;
  }

  private card(): void {
    this.rows();
    $<HTMLDialogElement>('card').showModal();
  }

  private rows(): void {
    const { engine, manifest, stats } = this.models;
    $('card-title').textContent = engine?.name ?? '';
    const rows: Row[] = manifest ? cardRows(manifest) : [];
    if (stats) rows.push(...loadedRows(stats, this.kept));
    else if (engine?.context) rows.push(['Context in use', count(engine.context, 'token')], ['Runs on', 'the server']);
    facts($('facts'), rows);
    const notes = manifest?.notes ?? [];
    $('notes').hidden = notes.length === 0;
    $('notes').replaceChildren(...notes.map((n) => el('li', {}, n)));
  }
}
