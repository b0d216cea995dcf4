import { checked, invalid, options as optionsOf, sampling } from './arguments.js';
import { LlamaError } from './errors.js';

/** How to choose a token. Options that are left out are off. */
export interface SampleOptions {
  /** 0: always the most likely token. Default: 1 for sample(), 0 for texts. */
  temperature?: number;
  /** Only this many of the most likely tokens. */
  topK?: number;
  /** Only the most likely tokens that together have this probability; 0: the most likely one. */
  topP?: number;
  /** Only tokens with at least this fraction of the highest probability. */
  minP?: number;
  /** Makes the choice reproducible; a negative one is random. */
  seed?: number;
}

/**
 * Chooses the next token from logits. The second argument is top-p, or all the options. Filters apply in the order
 * top-k, top-p, min-p, temperature; of equal logits, the lower id ranks first.
 */
export function sample(logits: Float32Array, options: number | SampleOptions = {}): number {
  const o = checked(() => sampling(typeof options === 'number' ? { topP: options } : optionsOf(options)));
  if (typeof logits?.some !== 'function') throw invalid('sample: want the logits as a Float32Array');
  const temperature = o.temperature ?? 1;
  if (logits.length === 0) throw new LlamaError('invalid-argument', 'sample: no logits');
  if (logits.some((l) => !(l < Infinity)))
    throw new LlamaError('invalid-argument', 'sample: a logit is NaN or +Infinity');
  if (temperature === 0 || o.topK === 1) return largest(logits);

  const max = logits[largest(logits)]!;
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  let n = Math.min(o.topK || ids.length, ids.length);
  if (o.topP !== undefined && o.topP < 1) n = nucleus(ids, logits, max, n, o.topP);
  if (o.minP) {
    const least = max + Math.log(o.minP);
    while (n > 1 && logits[ids[n - 1]!]! < least) n--;
  }
  const weights = ids.slice(0, n).map((id) => Math.exp((logits[id]! - max) / temperature));
  let left = random(o.seed) * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < n; i++) {
    left -= weights[i]!;
    if (left < 0) return ids[i]!;
  }
  return ids[0]!;
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** How many of the first n ids it takes to hold the share p of their probability. */
function nucleus(ids: number[], logits: Float32Array, max: number, n: number, p: number): number {
  const weight = (i: number) => Math.exp(logits[ids[i]!]! - max);
  let all = 0;
  for (let i = 0; i < n; i++) all += weight(i);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum += weight(i);
    if (sum >= p * all) return i + 1;
  }
  return n;
}

/** A number in [0, 1): from Math.random, or a hash of the seed (splitmix32). */
function random(seed: number | undefined): number {
  if (seed === undefined || seed < 0) return Math.random();
  let x = (seed + 0x9e3779b9) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}
