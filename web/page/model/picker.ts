// The dialog in which a model is chosen.

import { hasKey, setKey } from '../engine/server.js';
import { $, button, closesBeside, el, input } from '../lib/dom.js';
import { renew } from '../lib/focus.js';
import { bytes } from '../lib/format.js';
import { icon } from '../lib/icons.js';
import { titleOf } from '../lib/notices.js';
import { byAddress, byFolder, type Choice, type Listed, type Models, urlOf } from './models.js';

export class Picker {
  private readonly dialog = $<HTMLDialogElement>('picker');
  private where: 'gpu' | 'server' = 'gpu';

  constructor(
    private readonly models: Models,
    private readonly load: (c: Choice) => void,
  ) {
    button('model').addEventListener('click', () => void this.open());
    button('close-picker').addEventListener('click', () => this.dialog.close());
    closesBeside(this.dialog);
    for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=where]'))
      radio.addEventListener('change', () => this.turn(radio.value as 'gpu' | 'server'));
    $('address-form').addEventListener('submit', (e) => {
      e.preventDefault();
      this.fromAddress();
    });
    input('url').addEventListener('input', () => this.wrong(undefined));
    button('folder-button').addEventListener('click', () => input('folder').click());
    input('folder').addEventListener('change', () => this.fromFolder());
    $('key-form').addEventListener('submit', (e) => {
      e.preventDefault();
      setKey(input('key').value);
      void models.refresh();
    });
    models.addEventListener('list', () => this.show());
    models.addEventListener('engine', () => this.show());
  }

  async open(): Promise<void> {
    this.wrong(undefined);
    this.where = this.models.choice?.where ?? (this.models.adapter.there || !this.models.running ? 'gpu' : 'server');
    this.show();
    this.dialog.showModal();
    await this.models.refresh(); // bundles may have come since
  }

  private turn(where: 'gpu' | 'server'): void {
    this.where = where;
    this.wrong(undefined);
    this.show();
  }

  private choose(c: Choice): void {
    this.dialog.close();
    this.load(c);
  }

  private show(): void {
    const { models, where } = this;
    for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=where]'))
      radio.checked = radio.value === where;
    const here = where === 'gpu';
    $('where-text').textContent = here ? this.hereText() : this.thereText();
    $('key-form').hidden = here || !models.wantsKey;
    $('other-sources').hidden = !here;
    $('missing').hidden = !here || models.adapter.there;
    const offered = here ? models.listed : models.listed.filter((m) => models.running?.includes(m.name));
    const items = offered.map((m) => this.item(m));
    if (items.length === 0)
      items.push(el('p', { class: 'none' }, here ? 'This server has no bundles: open one below.' : 'No models.'));
    renew($('model-list'), items, button('close-picker'));
    $('model-list').hidden = !here && models.running === undefined;
  }

  private hereText(): string {
    const { there, text } = this.models.adapter;
    return there ? `In this page, on your GPU: nothing that you type leaves this device. ${text}` : text;
  }

  private thereText(): string {
    if (this.models.wantsKey) return hasKey() ? 'The server rejected this key.' : 'This server requires a key.';
    if (!this.models.running)
      return 'This server runs no models: it was started with --no-api, or it is not llama-webgpu serve.';
    return 'By the server that this page comes from: what you type is sent there. Nothing has to be downloaded.';
  }

  private item(m: Listed): HTMLElement {
    const here = this.where === 'gpu';
    const url = urlOf(m.name);
    const { choice } = this.models;
    const current = choice?.where === this.where && choice.name === m.name;
    const kept = here && this.models.cached.has(url);
    const details = [m.format, bytes(m.bytes), kept && 'in this browser', current && 'loaded']
      .filter(Boolean)
      .join(' · ');
    const open = el(
      'button',
      {
        type: 'button',
        class: 'open',
        disabled: here && !this.models.adapter.there,
        'aria-current': current ? 'true' : undefined,
      },
      el('b', {}, m.title),
      el('small', {}, details),
    );
    open.addEventListener('click', () =>
      this.choose(here ? { where: 'gpu', name: m.name, url } : { where: 'server', name: m.name }),
    );
    const forget =
      kept &&
      el(
        'button',
        {
          type: 'button',
          class: 'tool',
          title: 'Delete from this browser',
          'aria-label': `Delete ${m.title} from this browser`,
        },
        icon('trash'),
      );
    if (forget) forget.addEventListener('click', () => void this.models.forget(url));
    return el('div', { class: current ? 'model current' : 'model' }, open, forget);
  }

  private fromAddress(): void {
    try {
      this.choose(byAddress(input('url').value));
    } catch (e) {
      this.wrong(e);
      input('url').focus();
    }
  }

  private fromFolder(): void {
    const files = Array.from(input('folder').files ?? []);
    input('folder').value = '';
    if (files.length > 0) this.choose(byFolder(files));
  }

  /** Says what is wrong with what was typed. */
  private wrong(e: unknown): void {
    const box = $('picker-error');
    box.hidden = e === undefined;
    box.replaceChildren(...(e === undefined ? [] : [el('strong', {}, titleOf(e)), el('p', {}, (e as Error).message)]));
    if (e === undefined) input('url').removeAttribute('aria-invalid');
    else {
      input('url').setAttribute('aria-invalid', 'true');
      box.scrollIntoView({ block: 'nearest' });
    }
  }
}
