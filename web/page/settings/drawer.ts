// The drawer with the settings.
import { $, button, closesBeside, el, input } from '../lib/dom.js';
import { Prompts } from './prompts.js';
import { choices, defaults, type Form, keep, type Settings, wrong } from './settings.js';

/** A slider: what it is called, from where to where it goes and in what steps, the value at which it does nothing, and a note. */
type Slider = readonly [label: string, min: number, max: number, step: number, off?: number | undefined, note?: string];

const usual = {
  temperature: ['Temperature', 0, 2, 0.05],
  topP: ['Top-p', 0.05, 1, 0.05, 1],
  topK: ['Top-k', 0, 200, 1, 0],
  minP: ['Min-p', 0, 0.5, 0.01, 0],
  repeatPenalty: ['Repeat penalty', 1, 2, 0.05, 1],
  presencePenalty: ['Presence penalty', -2, 2, 0.1, 0],
  frequencyPenalty: ['Frequency penalty', -2, 2, 0.1, 0],
} satisfies { [N in keyof Settings]?: Slider };
const more = {
  typicalP: ['Typical-p', 0.05, 1, 0.05, 1],
  dynamicTemperatureRange: ['Dynamic temperature', 0, 2, 0.05, 0, '±'],
  xtcProbability: ['XTC probability', 0, 1, 0.05, 0],
  xtcThreshold: ['XTC threshold', 0, 0.5, 0.01],
  dryMultiplier: ['DRY multiplier', 0, 3, 0.05, 0],
  dryBase: ['DRY base', 1, 3, 0.05],
  dryAllowedLength: ['DRY allowed length', 1, 20, 1, undefined, 'tokens'],
} satisfies { [N in keyof Settings]?: Slider };
const sliders = { ...usual, ...more };
const numeric = Object.keys(sliders) as (keyof typeof sliders)[];
const selects = ['overflow', 'toolChoice', 'reasoningEffort'] as const;
const texts = ['schema', 'grammar', 'tools', 'system', 'extra'] as const;
const checks = ['useTools', 'enterSends'] as const;

export class Drawer {
  private readonly prompts: Prompts;
  private readonly dialog = $<HTMLDialogElement>('settings');

  /** `changed` is called after each change. */
  constructor(
    private readonly s: Settings,
    private readonly changed: (what: keyof Settings) => void,
  ) {
    this.prompts = new Prompts(
      () => s.system,
      (prompt) => {
        s.system = prompt;
        this.show();
        this.done('system');
      },
    );
    $('sampling').append(...rows(usual));
    $('more-sampling').append(...rows(more));
    $('reasoningEffort').append(...choices.reasoningEffort.slice(1).map((v) => el('option', {}, v)));
    button('close-settings').addEventListener('click', () => this.dialog.close());
    closesBeside(this.dialog);
    for (const name of numeric) this.on(name, () => Object.assign(s, { [name]: Number(input(name).value) }));
    for (const name of texts) this.on(name, () => Object.assign(s, { [name]: input(name).value }));
    this.on('stop', () => Object.assign(s, { stop: input('stop-text').value }), 'stop-text');
    this.on('maxTokens', () => Object.assign(s, { maxTokens: whole('maxTokens', 1) }));
    this.on('seed', () => Object.assign(s, { seed: whole('seed', 0) }));
    for (const name of selects) this.on(name, () => Object.assign(s, { [name]: input(name).value }));
    for (const name of checks) this.on(name, () => Object.assign(s, { [name]: input(name).checked }));
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
    for (const name of checks) input(name).checked = s[name];
    for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=form]'))
      radio.checked = radio.value === s.form;
    this.labels();
  }

  private labels(): void {
    const { s } = this;
    for (const name of numeric) {
      const off = s[name] === sliders[name][4];
      const text = off ? 'off' : name === 'temperature' && s[name] === 0 ? 'greedy' : String(s[name]);
      document.querySelector(`output[for=${name}]`)!.textContent = text;
    }
    // what has an effect only with another one
    for (const name of ['dryBase', 'dryAllowedLength']) input(name).disabled = s.dryMultiplier === 0;
    input('xtcThreshold').disabled = s.xtcProbability === 0;
    this.prompts.show();
    $('schema-row').hidden = s.form !== 'schema';
    $('grammar-row').hidden = s.form !== 'grammar';
    $('tools-row').hidden = !s.useTools;
    const why = wrong(s);
    $('settings-error').hidden = why === undefined;
    $('settings-error').textContent = why ?? '';
  }
}

/** The sliders with their labels, which show their values. */
function rows(list: Record<string, Slider>): HTMLElement[] {
  return Object.entries(list).flatMap(([id, [label, min, max, step, , note]]) => [
    el('label', { for: id }, `${label} `, note && el('small', {}, `${note} `), el('output', { for: id })),
    el('input', { id, type: 'range', min, max, step }),
  ]);
}

/** A whole number in a field that may be empty. */
function whole(name: string, least: number): number | undefined {
  const { value } = input(name);
  const n = Number(value);
  return value !== '' && Number.isSafeInteger(n) && n >= least ? n : undefined;
}
