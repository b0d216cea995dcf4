// The demo page. The model runs in a Worker; this file is the user interface.
import { LlamaError } from '../src/errors.js';
import type { ChatMessage, LoadProgress, Stats, TextModel } from '../src/index.js';
import { $, button, bytes, complain, facts, input } from './dom.js';
import { showChart, showMemory } from './draw.js';
import { lookForGPU } from './gpu.js';
import { compare } from './parity.js';
import { keepStorage } from './storage.js';

// The package is served next to the page, in separate files: it finds its Worker and its WebAssembly from there.
const base = './llama-webgpu/';
const { load } = (await import(`${base}worker.js`)) as typeof import('../src/worker.js');
const { cachedModels: listCached, deleteCached: forgetCached } = (await import(
  `${base}index.js`
)) as typeof import('../src/index.js');

interface Listing {
  models: { name: string; title: string; bytes: number }[];
  reference: boolean;
}

let listing: Listing = { models: [], reference: false };
let model: TextModel | undefined;
let modelUrl = '';
let ender: AbortController | undefined; // of the load or the generation that is running
let talk: ChatMessage[] = []; // the conversation so far

// --- choosing and loading

async function listModels(): Promise<void> {
  const response = await fetch('models.json').catch(() => undefined);
  if (response?.ok) listing = (await response.json()) as Listing;
  const select = $<HTMLSelectElement>('model');
  select.replaceChildren(
    ...listing.models.map((m) => new Option(`${m.title} · ${bytes(m.bytes)}`, `models/${m.name}/manifest.json`)),
    new Option('Another URL …', ''),
  );
  chosen();
}

function chosen(): void {
  $('url-row').hidden = $<HTMLSelectElement>('model').value !== '';
  void showCached();
}

function wantedUrl(): string {
  return new URL($<HTMLSelectElement>('model').value || input('url').value, location.href).href;
}

async function showCached(): Promise<void> {
  const cached = await listCached().catch(() => []);
  button('forget').hidden = !cached.some((m) => m.url === safely(wantedUrl));
}

function safely(f: () => string): string | undefined {
  try {
    return f();
  } catch {
    return undefined;
  }
}

async function loadModel(): Promise<void> {
  $('alert').hidden = true;
  await model?.dispose();
  model = undefined;
  ender = new AbortController();
  busy('loading');
  try {
    modelUrl = wantedUrl();
    model = await load(modelUrl, { signal: ender.signal, onProgress: showProgress });
    const { info } = model;
    const stats = await model.stats();
    const { where, reason } = info.cache;
    const place = where === 'opfs' ? 'in this browser' : 'in the browser’s cache';
    facts($('facts'), [
      ['Format', `${info.format}${info.block ? `, blocks of ${info.block}` : ''}`],
      ['Layers', String(info.layers)],
      ['Context', info.context ? `${info.context} tokens` : 'unknown'],
      ['Weights', bytes(info.bytes)],
      ['Kernels', kernelsOf(stats)],
      ['Cached', where === 'none' ? `no: ${reason ?? ''}` : place],
    ]);
    if (where !== 'none') void showKept(model, place);
    $('chat-row').hidden = !info.hasChat;
    startOver();
    $('progress-box').hidden = true;
    const hint = document.querySelector('.output .empty');
    if (hint) hint.textContent = 'The model is ready: the text that it generates appears here.';
    showStats(stats);
  } catch (e) {
    $('progress-box').hidden = true;
    complain(e);
  } finally {
    busy();
    void showCached();
  }
}

/** Has the browser keep the loaded model, and shows for how long it does; the answer may take as long as the user does. */
async function showKept(loaded: typeof model, place: string): Promise<void> {
  const kept = await keepStorage();
  const cached = $('facts').lastElementChild;
  if (cached && model === loaded)
    cached.textContent = `${place}, until ${kept ? 'you remove it' : 'it needs the space'}`;
}

/** Which kernels were chosen, and how much faster they are. */
function kernelsOf(s: Stats): string {
  const chosen = s.kernels
    .filter((k) => k.chosen)
    .map((k) => `${k.packing}: ${k.kernel.replace(/^matvec_/, '')}, ${k.speed.toFixed(1)}× as fast`);
  return chosen.join('; ') || 'baseline';
}

function showProgress(p: LoadProgress): void {
  const there = Math.min(p.total, Math.max(p.loaded, p.received));
  $<HTMLProgressElement>('progress').value = there / p.total;
  const left = p.rate > 0 ? ` · ${Math.ceil((p.total - there) / p.rate)} s left` : '';
  $('progress-text').textContent =
    there < p.total
      ? `${bytes(there)} of ${bytes(p.total)} · ${bytes(p.rate)}/s${left}${p.received === 0 ? ' · from cache' : ''}`
      : 'Allocating the KV cache …';
}

/** Enables the controls that can be used now. */
function busy(what?: 'loading' | 'writing' | 'checking'): void {
  button('load').disabled = what !== undefined;
  button('cancel').hidden = what !== 'loading';
  if (what === 'loading') {
    $('progress-box').hidden = false;
    $('facts').hidden = true;
    $<HTMLProgressElement>('progress').value = 0;
    $('progress-text').textContent = 'Connecting …';
  }
  button('generate').disabled = !model || what !== undefined;
  button('stop-button').disabled = what !== 'writing';
  button('parity').disabled = !model || what !== undefined;
  $('output').classList.toggle('busy', what === 'writing');
  document.body.dataset['state'] = what ?? (model ? 'ready' : 'empty');
}

// --- chatting, or continuing a text

const question = 'Why is the sky blue?';
const beginning = $<HTMLTextAreaElement>('prompt').value;

function asks(): boolean {
  return Boolean(model?.info.hasChat) && input('chat').checked;
}

/** Labels the prompt. An example is replaced by one of the other kind; what the user typed stays. */
function showPurpose(): void {
  const prompt = $<HTMLTextAreaElement>('prompt');
  $('prompt-label').textContent = asks() ? 'Message' : 'Text to continue';
  if ([question, beginning].includes(prompt.value)) prompt.value = asks() ? question : beginning;
  button('restart').hidden = talk.length === 0;
}

/** Clears the conversation. */
function startOver(): void {
  if (talk.length > 0) $('output').replaceChildren();
  talk = [];
  showPurpose();
}

/** Shows a prompt, and returns the node for the model's text after it. In a conversation it follows the last answer. */
function open(prompt: string, chat: boolean): Text {
  const before = document.createElement('span');
  before.className = 'prompt';
  before.textContent = chat ? `${talk.length > 0 ? '\n\n' : ''}${prompt}\n` : prompt;
  const text = document.createTextNode('');
  if (talk.length === 0) $('output').replaceChildren();
  $('output').append(before, text);
  return text;
}

// --- generating

function options() {
  const n = (id: string) => Number(input(id).value);
  return {
    maxTokens: Math.max(1, n('maxTokens') || 128),
    temperature: n('temperature'),
    topK: n('topK'),
    topP: n('topP'),
    minP: n('minP'),
    repeatPenalty: n('repeatPenalty'),
    ...(input('seed').value === '' ? {} : { seed: n('seed') }),
    stop: input('stop').value ? [input('stop').value] : [],
  };
}

async function write(): Promise<void> {
  if (!model || button('generate').disabled) return;
  $('alert').hidden = true;
  ender = new AbortController();
  const prompt = $<HTMLTextAreaElement>('prompt').value;
  const output = $('output');
  const chat = asks();
  if (chat && prompt.trim() === '') return;
  if (!chat) startOver();
  const messages: ChatMessage[] = [...talk, { role: 'user', content: prompt }];
  const text = open(prompt, chat);
  output.scrollTop = output.scrollHeight;
  busy('writing');
  const times: number[] = [];
  const begun = performance.now();
  const onToken = ({ ms }: { ms: number }) => {
    times.push(ms);
    $('count').textContent = String(times.length);
    if (times.length === 1) $('first').textContent = `${(ms / 1000).toFixed(2)} s`;
    else $('rate').textContent = ((1000 * (times.length - 1)) / (performance.now() - begun - times[0]!)).toFixed(1);
    $('chart-figure').hidden = false;
    showChart($('chart'), $('chart-text'), times);
  };
  $('rate').textContent = $('first').textContent = $('count').textContent = '–';
  const all = { ...options(), signal: ender.signal, onToken };
  try {
    const pieces = chat ? model.chat(messages, all) : model.generate(prompt, all);
    for await (const piece of pieces) {
      const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
      text.data += piece;
      if (atEnd) output.scrollTop = output.scrollHeight;
    }
  } catch (e) {
    complain(e);
  }
  if (chat && text.data) {
    talk = [...messages, { role: 'assistant', content: text.data }];
    $<HTMLTextAreaElement>('prompt').value = '';
  }
  showPurpose();
  busy();
  if (model) showStats(await model.stats());
}

function showStats(s: Stats): void {
  $('memory').textContent = bytes(s.memoryBytes);
  $('memory-figure').hidden = false;
  showMemory($('memory-bar'), $('memory-list'), s.memory, bytes);
}

// --- checking

const sampleText = 'The sea was calm that evening, and the little boat lay still.';

async function checkParity(): Promise<void> {
  if (!model) return;
  $('alert').hidden = true;
  busy('checking');
  const name = /\/models\/([^/]+)\/manifest\.json$/.exec(modelUrl)?.[1];
  facts($('parity-result'), [['Computing', 'here and on the server …']]);
  try {
    const tokens = Array.from(await model.encode(sampleText)).slice(0, 16);
    const [here, response] = await Promise.all([
      model.logits(tokens, 0),
      fetch(`reference/${name}`, { method: 'POST', body: JSON.stringify(tokens) }),
    ]);
    if (!response.ok)
      throw new LlamaError('network', `The server did not compute the reference: ${await response.text()}`);
    const r = compare(new Float32Array(await response.arrayBuffer()), here, tokens.length);
    facts($('parity-result'), [
      ['Result', r.pass ? '✓ equal up to rounding' : '✗ different', r.pass ? 'good' : 'bad'],
      ['Relative RMS', `${r.relRMS.toExponential(1)} of 1e-3`],
      ['Largest |Δ|', r.maxAbs.toExponential(1)],
      ['KL divergence', `${r.kld.toExponential(1)} nats`],
      ['Same top token', `${r.same} of ${tokens.length}`],
    ]);
  } catch (e) {
    $('parity-result').hidden = true;
    complain(e);
  }
  busy();
}

// --- wiring

for (const control of document.querySelectorAll<HTMLInputElement>('.controls input')) {
  const show = () => {
    const v = Number(control.value);
    const off =
      (control.id === 'topK' && v === 0) ||
      (control.id === 'topP' && v === 1) ||
      (control.id === 'repeatPenalty' && v === 1) ||
      (control.id === 'minP' && v === 0);
    document.querySelector(`output[for=${control.id}]`)!.textContent = off
      ? 'off'
      : control.id === 'temperature' && v === 0
        ? 'greedy'
        : control.value;
  };
  control.addEventListener('input', show);
  show();
}
$('model').addEventListener('change', chosen);
$('load').addEventListener('click', () => void loadModel());
$('cancel').addEventListener('click', () => ender?.abort());
$('forget').addEventListener('click', () => void forgetCached(wantedUrl()).then(showCached, complain));
$('chat').addEventListener('change', startOver);
$('restart').addEventListener('click', startOver);
$('generate').addEventListener('click', () => void write());
$('stop-button').addEventListener('click', () => ender?.abort());
$('parity').addEventListener('click', () => void checkParity());
$('alert-close').addEventListener('click', () => {
  $('alert').hidden = true;
});
document.addEventListener('keydown', (e) => {
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) void write();
  if (e.key === 'Escape') ender?.abort();
});

if (matchMedia('(max-width: 800px)').matches) $<HTMLDetailsElement>('sampling').open = false;
busy();
document.body.dataset['state'] = 'starting';
const there = await lookForGPU();
await listModels();
$('parity-card').hidden = !listing.reference;
document.body.dataset['state'] = there ? 'empty' : 'missing';
