// Random calls, in one page or one Node process: models are loaded, used, aborted, disposed of and called wrongly, several
// at a time. Nothing but the errors that are meant to come may come, every call ends, and memory does not grow. The seed
// decides what is called; when it happens depends on the machine.
import { LlamaError, load } from 'llama-webgpu';
import { gpuDevice } from 'llama-webgpu/device';
import { badCalls } from './bad-calls.js';
import { all, at, empty, node } from './lib.js';

/** What calls may fail with, when their model is in use, being disposed of, or the caller's signal aborts. */
const expected = ['aborted', 'busy', 'disposed', 'invalid-argument', 'too-large', 'not-found', 'corrupt'];

const patience = 300_000; // ms that a call may take on a busy machine
const callsPerRound = 25;
const text = 'It was a cold morning of the early spring, and we sat after breakfast. '.repeat(20);
const mine = new RangeError('thrown by a callback');
const thrower = () => {
  throw mine;
};
let loadInWorker; // in a page
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Random numbers that a seed decides (mulberry32). */
class Dice {
  constructor(seed) {
    this.state = seed | 0;
  }
  roll() {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  below = (n) => Math.floor(n * this.roll());
  often = (p) => this.roll() < p;
  of = (list) => list[this.below(list.length)];
}

class Storm {
  failures = [];
  samples = [];
  counts = {}; // of calls, by how they ended
  running = new Set();

  constructor(seed, device, tell) {
    this.dice = new Dice(seed);
    this.device = device;
    this.tell = tell;
    this.slots = [{ path: '/models/int2/' }, { path: '/bad/chat/int2/manifest.json' }];
    if (!node) this.slots.push({ path: '/models/int2/', inWorker: true });
  }

  /** Waits for a call, and notes how it ended. */
  async watch(name, call, codes = expected) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`nothing for ${patience / 1000} s`)), patience);
    });
    let end = 'ok';
    try {
      await Promise.race([call(), late]);
    } catch (e) {
      end = e === mine ? 'own error' : e.code;
      const fine = e === mine || (e instanceof LlamaError && codes.includes(e.code));
      if (!fine) this.failures.push(`${name}: ${e?.stack ?? e}`);
    } finally {
      clearTimeout(timer);
    }
    const key = `${name}: ${end}`;
    this.counts[key] = (this.counts[key] ?? 0) + 1;
  }

  /** Some options of a generation, and perhaps a signal that aborts it. */
  options() {
    const { dice } = this;
    const o = { maxTokens: dice.below(6), temperature: dice.of([0, 1]), seed: dice.below(100) };
    if (dice.often(0.2)) o.stop = dice.of(['e', ['a', 'the ']]);
    if (dice.often(0.1)) o.onToken = dice.of([thrower, async () => thrower(), () => {}]);
    if (dice.often(0.3)) o.onOverflow = dice.of(['error', 'truncate', 'shift']);
    if (dice.often(0.3)) o.signal = this.abortSoon(500);
    return o;
  }

  abortSoon(ms) {
    const ender = new AbortController();
    setTimeout(() => ender.abort(), this.dice.below(ms));
    return ender.signal;
  }

  async load(slot) {
    const { dice } = this;
    const o = { cache: false, kernels: 'baseline', maxSeqLen: dice.of([32, 64]), chunk: dice.of([8, 16]) };
    if (dice.often(0.2)) o.signal = this.abortSoon(1000);
    if (dice.often(0.1)) o.onProgress = thrower;
    const path = dice.often(0.1)
      ? dice.of(['/models/nothing/', '/bad/flip/int4/', '/bad/html-vocab/int4/'])
      : slot.path;
    const worker = slot.inWorker && new Worker('/llama-webgpu/worker-thread.js', { type: 'module' });
    const model = await (worker
      ? loadInWorker(at(path), { ...o, worker })
      : load(at(path), { ...o, device: this.device }));
    const before = slot.model;
    Object.assign(slot, { model, worker });
    if (!slot.inWorker) this.lastHere = model;
    await before?.dispose();
  }

  async generate(slot) {
    const prompt = text.slice(0, this.dice.below(this.dice.often(0.2) ? 1000 : 60));
    const messages = [
      { role: 'system', content: 'Hello. ' },
      { role: 'user', content: prompt },
    ];
    const o = this.options();
    const pieces = this.dice.often(0.3) ? slot.model.chat(messages, o) : slot.model.generate(prompt, o);
    const leaves = this.dice.often(0.2);
    for await (const _ of pieces) if (leaves) break;
  }

  async small(slot) {
    const m = slot.model;
    const ids = await m.encode(text.slice(0, 1 + this.dice.below(60)));
    await this.dice.of([() => m.decode(ids), () => m.logits(ids, ids.length - 1), () => m.stats()])();
  }

  async dispose(slot) {
    const m = slot.model;
    slot.model = undefined;
    await Promise.all([m.dispose(), m.dispose()]);
  }

  /** Ends a Worker behind the package's back. Calls to it end when they are aborted, or the model is disposed of. */
  async kill(slot) {
    const { model: m, worker } = slot;
    slot.model = undefined;
    const ender = new AbortController();
    const text = all(m.generate('It was', { maxTokens: 50, signal: ender.signal }));
    text.catch(() => {});
    await sleep(this.dice.below(300));
    worker.terminate();
    ender.abort();
    await text.catch((e) => {
      if (!(e instanceof LlamaError)) throw e;
    });
    await m.dispose();
  }

  /** Makes one random call. */
  call() {
    const slot = this.dice.of(this.slots);
    const name = slot.inWorker ? 'in a Worker: ' : '';
    if (!slot.model) return this.watch(`${name}load`, () => this.load(slot));
    const kind = this.dice.roll();
    if (kind < 0.1) return this.watch(`${name}load`, () => this.load(slot));
    if (kind < 0.55) return this.watch(`${name}generate`, () => this.generate(slot));
    if (kind < 0.7) return this.watch(`${name}small`, () => this.small(slot));
    if (kind < 0.78) return this.watch(`${name}dispose`, () => this.dispose(slot));
    if (kind < 0.82 && slot.inWorker) return this.watch(`${name}killed`, () => this.kill(slot));
    return this.bad(slot.model, name);
  }

  bad(model, name) {
    const [what, call] = this.dice.of(badCalls);
    return this.watch(`${name}bad argument`, async () => {
      let took = true;
      await call(model).catch((e) => {
        took = false;
        throw e;
      });
      if (took) this.failures.push(`${what} was taken`);
    });
  }

  /** Some calls, up to four at a time; then everything is disposed of. */
  async round(until) {
    for (let i = 0; i < callsPerRound && performance.now() < until; i++) {
      const call = this.call().finally(() => this.running.delete(call));
      this.running.add(call);
      if (this.running.size >= 4 || this.dice.often(0.6)) await Promise.race(this.running);
    }
    await Promise.all(this.running);
    for (const slot of this.slots) if (slot.model) await this.watch('dispose', () => this.dispose(slot));
    await this.sample();
  }

  /** Measures memory when there is no model. */
  async sample() {
    if (!this.lastHere) return;
    globalThis.gc?.();
    await sleep(50);
    const { heapBytes, wasmBytes } = await this.emptied();
    const js = node ? process.memoryUsage().heapUsed : performance.memory?.usedJSHeapSize;
    this.samples.push({ go: heapBytes, wasm: wasmBytes, js, ...(node && { rss: process.memoryUsage().rss }) });
  }

  /** The stats once no GPU memory is in use: a load that was aborted is not waited for, and gives back later what it had. */
  async emptied() {
    for (const late = performance.now() + patience; ; await sleep(100)) {
      const stats = await this.lastHere.stats();
      try {
        empty(stats.memory);
        return stats;
      } catch (e) {
        if (performance.now() < late) continue;
        this.failures.push(e.message);
        return stats;
      }
    }
  }

  /** Compares what memory took in the second quarter of the samples with the last one. */
  checkGrowth() {
    const n = this.samples.length >> 2;
    if (n < 3) return;
    const mean = (samples, key) => samples.reduce((sum, s) => sum + s[key], 0) / samples.length;
    for (const [key, slack] of Object.entries({ go: 2e6, wasm: 16e6, js: 5e6, rss: 50e6 })) {
      if (this.samples[0][key] === undefined) continue;
      const [before, after] = [this.samples.slice(n, 2 * n), this.samples.slice(-n)].map((s) => mean(s, key));
      if (after > 1.05 * before + slack) this.failures.push(`${key} grew from ${before} to ${after} bytes`);
    }
  }

  line(seed, seconds) {
    const mb = Object.entries(this.samples.at(-1) ?? {}).map(([k, v]) => `${k} ${(v / 1e6).toFixed(1)} MB`);
    const n = Object.values(this.counts).reduce((a, b) => a + b, 0);
    return `seed ${seed}, ${Math.round(seconds)} s: ${n} calls, ${this.failures.length} failures; ${mb.join(', ')}`;
  }
}

/** Calls for some seconds, 0: one round. Returns what failed, and how calls ended. */
export async function storm({ seed, seconds, tell }) {
  if (!node) loadInWorker = (await import('llama-webgpu/worker')).load;
  const s = new Storm(seed, await gpuDevice(), tell);
  const unhandled = (e) => s.failures.push(`unhandled: ${(e.reason ?? e.error ?? e)?.stack ?? e}`);
  if (node) for (const event of ['unhandledRejection', 'uncaughtException']) process.on(event, unhandled);
  else for (const event of ['unhandledrejection', 'error']) addEventListener(event, unhandled);
  const begun = performance.now();
  const passed = () => (performance.now() - begun) / 1000;
  let told = 0;
  do {
    await s.round(seconds > 0 ? begun + 1000 * seconds : Infinity);
    if (passed() - told >= 30) {
      told = passed();
      tell(s.line(seed, told));
    }
  } while (passed() < seconds && s.failures.length < 20);
  s.checkGrowth();
  tell(s.line(seed, passed()));
  return { failures: s.failures, counts: s.counts };
}
