// The measuring panel: continues a text and shows how fast; compares logits with the server's. A script of its own, which is
// loaded when the panel is opened for the first time.
import { LlamaError } from '../src/errors.js';
import type { Source } from '../src/files.js';
import type { GenerateOptions, Stats, TextModel } from '../src/index.js';
import { $, button, facts } from './lib/dom.js';
import { bytes } from './lib/format.js';
import { part, style } from './lib/part.js';
import { showChart, showMemory } from './measure/draw.js';
import { compare } from './measure/parity.js';
import { tune } from './measure/tune.js';

/** What the panel wants of the page. */
export interface Host {
  /** The model on this device, undefined: there is none. */
  model(): TextModel | undefined;
  name(): string;
  /** Where it came from. */
  source(): Source | undefined;
  /** Under which name the server can compute its logits. */
  reference(): string | undefined;
  options(): GenerateOptions;
  complain(e: unknown): void;
  /** Marks the model as in use, or no longer. */
  busy(what: 'writing' | 'checking' | undefined): void;
}

let drawn: Promise<unknown> | undefined;

/** Draws the panel, once. */
export async function draw(): Promise<void> {
  drawn ??= Promise.all([part('measure.html', $('measure')), style('measure.css')]);
  await drawn;
}

const text = 'The sea was calm that evening, and the little boat lay still.';
const most = 128; // tokens, unless the settings say otherwise

export class Measuring {
  private ender: AbortController | undefined;
  private shown: TextModel | undefined; // whose figures these are
  private stopper: HTMLButtonElement | undefined; // ends what is being done
  private begun: Element | null = null; // what had the focus when that began

  constructor(private readonly host: Host) {
    button('generate').addEventListener('click', () => void this.generate());
    for (const id of ['measure-stop', 'tune-stop']) button(id).addEventListener('click', () => this.stop());
    button('parity').addEventListener('click', () => void this.check());
    button('tune').addEventListener('click', () => void this.tune());
    $('prompt').addEventListener('keydown', (e) => {
      if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) void this.generate();
    });
    this.modelChanged();
  }

  /** Forgets what was measured of another model. */
  modelChanged(): void {
    const model = this.host.model();
    if (model !== this.shown) {
      this.stop();
      for (const id of ['rate', 'first', 'count', 'memory', 'prompt-rate']) $(id).textContent = '–';
      for (const id of ['chart-figure', 'memory-figure', 'parity-result']) $(id).hidden = true;
      $('output').replaceChildren();
    }
    this.shown = model;
    $('measured').textContent = model
      ? `Of ${this.host.name()}, on this device.`
      : 'Load a model on this device to measure it: what the server runs cannot be measured here.';
    $('parity-card').hidden = this.host.reference() === undefined;
    this.enable();
    if (model) void model.stats().then((s) => this.memory(model, s), this.host.complain);
  }

  /** Enables what can be used now; `busy`: the model answers in the chat. */
  enable(busy = false): void {
    const free = this.host.model() !== undefined && !busy && !this.ender;
    button('generate').disabled = !free;
    button('parity').disabled = !free;
    button('tune').disabled = !free;
    for (const id of ['measure-stop', 'tune-stop']) button(id).disabled = this.stopper !== button(id);
  }

  stop(): void {
    this.ender?.abort();
  }

  /** The focus of a button that is disabled now goes to the one that stops what it has begun. */
  private begin(what: 'writing' | 'checking', stopper?: HTMLButtonElement): AbortSignal {
    this.ender = new AbortController();
    this.stopper = stopper;
    this.begun = document.activeElement;
    this.enable();
    if (this.begun instanceof HTMLButtonElement && this.begun.disabled) stopper?.focus();
    this.host.busy(what);
    return this.ender.signal;
  }

  private end(): void {
    const lost = [document.body, this.stopper].includes(document.activeElement as HTMLButtonElement);
    this.ender = this.stopper = undefined;
    this.enable();
    if (lost && this.begun instanceof HTMLElement) this.begun.focus({ preventScroll: true });
    this.host.busy(undefined);
  }

  private async generate(): Promise<void> {
    const model = this.host.model();
    if (!model || button('generate').disabled) return;
    const prompt = $<HTMLTextAreaElement>('prompt').value;
    const output = $('output');
    const begun = Object.assign(document.createElement('span'), { className: 'prompt', textContent: prompt });
    const text = document.createTextNode('');
    output.replaceChildren(begun, text);
    output.classList.add('busy');
    output.scrollTop = output.scrollHeight;
    const signal = this.begin('writing', button('measure-stop'));
    try {
      const times = new Times();
      const all: GenerateOptions = { ...this.host.options(), signal, onToken: ({ ms }) => times.note(ms) };
      if (all.maxTokens === Number.POSITIVE_INFINITY) all.maxTokens = most;
      for await (const piece of model.generate(prompt, all)) {
        const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
        text.data += piece;
        if (atEnd) output.scrollTop = output.scrollHeight;
      }
    } catch (e) {
      this.host.complain(e);
    }
    output.classList.remove('busy');
    this.end();
    await model.stats().then(
      (s) => this.results(model, s),
      () => {},
    ); // it has been unloaded
  }

  private results(model: TextModel, s: Stats): void {
    if (model !== this.host.model()) return;
    const read = s.promptTokens - s.cachedTokens;
    if (s.firstTokenSeconds > 0 && read > 1) $('prompt-rate').textContent = (read / s.firstTokenSeconds).toFixed(0);
    this.memory(model, s);
  }

  private memory(model: TextModel, s: Stats): void {
    if (model !== this.host.model()) return;
    $('memory').textContent = bytes(s.memoryBytes);
    $('memory-figure').hidden = false;
    showMemory($('memory-bar'), $('memory-list'), s.memory, bytes);
  }

  private async tune(): Promise<void> {
    if (button('tune').disabled) return;
    const signal = this.begin('checking', button('tune-stop'));
    try {
      await tune(this.host.source(), signal);
    } catch (e) {
      this.host.complain(e);
    } finally {
      this.end();
    }
  }

  private async check(): Promise<void> {
    const model = this.host.model();
    const name = this.host.reference();
    if (!model || !name) return;
    this.begin('checking');
    facts($('parity-result'), [['Computing', 'here and on the server …']]);
    try {
      const tokens = Array.from(await model.encode(text)).slice(0, 16);
      const [here, response] = await Promise.all([
        model.logits(tokens, 0),
        fetch(`reference/${name}`, { method: 'POST', body: JSON.stringify(tokens) }),
      ]);
      if (!response.ok)
        throw new LlamaError('network', `The server did not compute the reference: ${await response.text()}`);
      const r = compare(new Float32Array(await response.arrayBuffer()), here, tokens.length);
      if (model !== this.host.model()) return;
      facts($('parity-result'), [
        ['Result', r.pass ? '✓ equal up to rounding' : '✗ different', r.pass ? 'good' : 'bad'],
        ['Relative RMS', `${r.relRMS.toExponential(1)} of 1e-3`],
        ['Largest |Δ|', r.maxAbs.toExponential(1)],
        ['KL divergence', `${r.kld.toExponential(1)} nats`],
        ['Same top token', `${r.same} of ${tokens.length}`],
      ]);
    } catch (e) {
      $('parity-result').hidden = true;
      if (model === this.host.model()) this.host.complain(e);
    } finally {
      this.end();
    }
  }
}

/** Shows the times of tokens as they come. */
class Times {
  private readonly times: number[] = [];
  private readonly begun = performance.now();

  constructor() {
    $('rate').textContent = $('first').textContent = $('count').textContent = '–';
  }

  note(ms: number): void {
    const { times } = this;
    times.push(ms);
    $('count').textContent = String(times.length);
    if (times.length === 1) $('first').textContent = `${(ms / 1000).toFixed(2)} s`;
    else {
      const since = performance.now() - this.begun - times[0]!;
      $('rate').textContent = ((1000 * (times.length - 1)) / since).toFixed(1);
    }
    $('chart-figure').hidden = false;
    showChart($('chart'), $('chart-text'), times);
  }
}
