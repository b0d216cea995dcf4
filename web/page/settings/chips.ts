// Shows beside the composer which settings are unusual, so that nobody wonders why the model answers in JSON.
import { $, button, el } from '../lib/dom.js';
import { renew } from '../lib/focus.js';
import { type Icon, icon } from '../lib/icons.js';
import { type Form, keep, type Settings, wrong } from './settings.js';

const forms: { [F in Form]: string } = { text: '', json: 'JSON', schema: 'JSON schema', grammar: 'Grammar' };

/** What is used of the drawer, which may not be there yet. */
export interface Opener {
  /** Opens it at a field. */
  open(field?: string): void;
  /** Shows the settings as they are now. */
  show(): void;
}

export class Chips {
  constructor(
    private readonly s: Settings,
    private readonly drawer: Opener,
  ) {
    button('json-mode').addEventListener('click', () => {
      s.form = s.form === 'text' ? 'json' : 'text';
      s.useTools &&= s.form === 'text';
      this.turned();
    });
    button('tools-mode').addEventListener('click', () => {
      s.useTools = !s.useTools;
      if (s.useTools) s.form = 'text';
      this.turned();
      if (s.useTools) drawer.open('tools');
    });
    this.show();
  }

  private turned(): void {
    keep(this.s);
    this.drawer.show();
    this.show();
  }

  show(): void {
    const { s } = this;
    button('json-mode').setAttribute('aria-pressed', String(s.form !== 'text'));
    button('json-mode').lastChild!.textContent = forms[s.form] || 'JSON';
    button('tools-mode').setAttribute('aria-pressed', String(s.useTools));
    const chips: HTMLElement[] = [];
    if (s.system.trim()) chips.push(this.chip('info', 'System prompt', 'system'));
    const why = wrong(s);
    if (why) chips.push(this.chip('sliders', 'Settings need attention', s.useTools ? 'tools' : 'schema', true));
    renew($('chips'), chips, button('tools-mode'));
  }

  private chip(name: Icon, text: string, field: string, bad = false): HTMLElement {
    return el(
      'button',
      { type: 'button', class: bad ? 'mode bad' : 'mode', onclick: () => this.drawer.open(field) },
      icon(name),
      text,
    );
  }
}
