// The drawer with the settings.
import { $, button, input } from '../lib/dom.js';
import { defaults, type Form, keep, type Settings, wrong } from './settings.js';

/** The sliders, and the values at which they do nothing. */
const off = {
  temperature: undefined,
  topP: 1,
  topK: 0,
  minP: 0,
  repeatPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  typicalP: 1,
  xtcProbability: 0,
  xtcThreshold: undefined,
  dynamicTemperatureRange: 0,
  dryMultiplier: 0,
  dryBase: undefined,
  dryAllowedLength: undefined,
} satisfies { [N in keyof Settings]?: number | undefined };
const numeric = Object.keys(off) as (keyof typeof off)[];
const selects = ['overflow', 'toolChoice', 'reasoningEffort'] as const;
const texts = ['schema', 'grammar', 'tools', 'system'] as const;

export class Drawer {
  private readonly dialog = $<HTMLDialogElement>('settings');

  /** `changed` is called after each change. */
  constructor(
    private readonly s: Settings,
    private readonly changed: (what: keyof Settings) => void,
  ) {
    button('open-settings').addEventListener('click', () => this.open());
    button('close-settings').addEventListener('click', () => this.dialog.close());
    this.dialog.addEventListener('click', (e) => {
      if (e.target === this.dialog) this.dialog.close(); // beside the drawer
    });
    for (const name of numeric) this.on(name, () => Object.assign(s, { [name]: Number(input(name).value) }));
    for (const name of texts) this.on(name, () => Object.assign(s, { [name]: input(name).value }));
    this.on('stop', () => Object.assign(s, { stop: input('stop-text').value }), 'stop-text');
    this.on('maxTokens', () => Object.assign(s, { maxTokens: whole('maxTokens', 1) }));
    this.on('seed', () => Object.assign(s, { seed: whole('seed', 0) }));
    for (const name of selects) this.on(name, () => Object.assign(s, { [name]: input(name).value }));
    this.on('useTools', () => Object.assign(s, { useTools: input('useTools').checked }));
    for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=form]'))
      radio.addEventListener('change', () => {
        s.form = radio.value as Form;
        this.done('form');
      });
    button('reset-settings').addEventListener('click', () => {
      Object.assign(s, defaults, { system: s.system, schema: s.schema, grammar: s.grammar, tools: s.tools });
      this.show();
      this.done('temperature');
    });
    this.show();
  }

  private on(name: keyof Settings, set: () => void, id: string = name): void {
    input(id).addEventListener('input', () => {
      set();
      this.done(name);
    });
  }

  private done(what: keyof Settings): void {
    keep(this.s);
    this.labels();
    this.changed(what);
  }

  /** Opens the drawer, at the field of that name. */
  open(field?: string): void {
    this.show();
    this.dialog.showModal();
    if (field) input(field).focus();
  }

  /** Shows the settings as they are. */
  show(): void {
    const { s } = this;
    for (const name of [...numeric, ...texts, ...selects]) input(name).value = String(s[name]);
    input('stop-text').value = s.stop;
    input('maxTokens').value = s.maxTokens === undefined ? '' : String(s.maxTokens);
    input('seed').value = s.seed === undefined ? '' : String(s.seed);
    input('useTools').checked = s.useTools;
    for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=form]'))
      radio.checked = radio.value === s.form;
    this.labels();
  }

  private labels(): void {
    const { s } = this;
    for (const name of numeric) {
      const text = s[name] === off[name] ? 'off' : name === 'temperature' && s[name] === 0 ? 'greedy' : String(s[name]);
      document.querySelector(`output[for=${name}]`)!.textContent = text;
    }
    // what has an effect only with another one
    for (const name of ['dryBase', 'dryAllowedLength']) input(name).disabled = s.dryMultiplier === 0;
    input('xtcThreshold').disabled = s.xtcProbability === 0;
    $('schema-row').hidden = s.form !== 'schema';
    $('grammar-row').hidden = s.form !== 'grammar';
    $('tools-row').hidden = !s.useTools;
    const why = wrong(s);
    $('settings-error').hidden = why === undefined;
    $('settings-error').textContent = why ?? '';
  }
}

/** A whole number in a field that may be empty. */
function whole(name: string, least: number): number | undefined {
  const { value } = input(name);
  const n = Number(value);
  return value !== '' && Number.isSafeInteger(n) && n >= least ? n : undefined;
}
