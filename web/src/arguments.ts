// Checks what callers pass in, and copies it plainly: what comes may be a reactive proxy (Vue, Svelte, MobX), which
// cannot be sent to a Worker, and JavaScript callers pass what the types forbid.
import type { ChatMessage } from './chat.js';
import { LlamaError } from './errors.js';
import type { WasmSource } from './wasm.js';

export function invalid(message: string): LlamaError {
  return new LlamaError('invalid-argument', message);
}

/** Runs a check. What the caller's own getters and iterators throw on the way is an invalid argument, too. */
export function checked<T>(check: () => T): T {
  try {
    return check();
  } catch (e) {
    if (e instanceof LlamaError) throw e;
    throw new LlamaError(
      'invalid-argument',
      `An argument cannot be read: ${e instanceof Error ? e.message : String(e)}`,
      {
        cause: e,
      },
    );
  }
}

/** A value as messages show it. */
function shown(v: unknown): string {
  if (typeof v === 'string') return JSON.stringify(v.length > 40 ? `${v.slice(0, 40)}…` : v);
  if (typeof v === 'bigint') return `${v}n`;
  if (Array.isArray(v)) return 'an array';
  if (typeof v === 'function') return 'a function';
  return typeof v === 'object' && v !== null ? 'an object' : String(v);
}

export function wants(name: string, want: string, v: unknown): LlamaError {
  return invalid(`${name}: want ${want}, got ${shown(v)}`);
}

/** An object of options; undefined and null are none. */
export function options<T extends object>(v: T | undefined | null): Partial<T> {
  if (v === undefined || v === null) return {};
  if (typeof v !== 'object') throw wants('options', 'an object', v);
  return v;
}

interface Numbers {
  min: number;
  max: number;
  whole: boolean;
}

/** The runtime computes with float32, to which anything larger is infinite. */
const largestFloat32 = 3.4028234663852886e38;

const whole = (min: number, max = Number.MAX_SAFE_INTEGER): Numbers => ({ min, max, whole: true });
const real = (min: number, max = largestFloat32): Numbers => ({ min, max, whole: false });

/** The numbers that each field takes. */
const fields = {
  maxTokens: whole(0),
  temperature: real(0),
  topK: whole(0),
  topP: real(0, 1),
  minP: real(0, 1),
  repeatPenalty: real(0),
  repeatLast: whole(-1),
  presencePenalty: real(-largestFloat32),
  frequencyPenalty: real(-largestFloat32),
  typicalP: real(0, 1),
  xtcProbability: real(0, 1),
  xtcThreshold: real(0, 1),
  dynamicTemperatureRange: real(0),
  dynamicTemperatureExponent: real(0),
  dryMultiplier: real(0),
  dryBase: real(1),
  dryAllowedLength: whole(1),
  dryLast: whole(-1),
  seed: whole(Number.MIN_SAFE_INTEGER),
  keep: whole(0),
  maxBatch: whole(1, 64),
  maxSeqLen: whole(1, 1 << 20),
  chunk: whole(1, 4096),
  concurrency: whole(1, 64),
  from: whole(0),
  sequence: whole(0),
};
type Field = keyof typeof fields;

/** A number by the name of its field; undefined and null are absent. */
export function number(name: Field, v: unknown): number | undefined {
  if (v === undefined || v === null) return undefined;
  const { min, max, whole } = fields[name];
  if (name === 'maxTokens' && v === Infinity) return 2 ** 31 - 1; // until the context is full
  if (typeof v === 'number' && v >= min && v <= max && (!whole || Number.isInteger(v))) return v;
  const kind = whole ? 'a whole number' : 'a number';
  if (min === -largestFloat32) throw wants(name, kind, v);
  const open = max === largestFloat32 || max === Number.MAX_SAFE_INTEGER;
  if (min === Number.MIN_SAFE_INTEGER) throw wants(name, kind, v);
  throw wants(name, open ? `${kind}, ${min} or more` : `${kind} from ${min} to ${max}`, v);
}

/** Those of the fields that o has. */
export function numbers<F extends Field>(
  o: Partial<Record<F, unknown>>,
  names: readonly F[],
): Partial<Record<F, number>> {
  const found: Partial<Record<F, number>> = {};
  for (const name of names) {
    const n = number(name, o[name]);
    if (n !== undefined) found[name] = n;
  }
  return found;
}

const samplingFields = ['temperature', 'topK', 'topP', 'minP', 'repeatPenalty', 'repeatLast', 'seed'] as const;
export type Sampling = Partial<Record<(typeof samplingFields)[number], number>>;

/** How to choose tokens. A topP of 0 leaves only the most likely token, and a negative seed is as none. */
export function sampling(o: Partial<Record<keyof Sampling, unknown>>): Sampling {
  const { topP, seed, ...rest } = numbers(o, samplingFields);
  const s: Sampling = rest;
  if (topP === 0) s.temperature = 0;
  else if (topP !== undefined) s.topP = topP;
  if (seed !== undefined && seed >= 0) s.seed = seed;
  return s;
}

/** One of several values; undefined and null are absent. */
export function oneOf<T>(name: string, v: unknown, values: readonly T[]): T | undefined {
  if (v === undefined || v === null) return undefined;
  if (!values.includes(v as T)) throw wants(name, values.map(shown).join(' or '), v);
  return v as T;
}

export function text(name: string, v: unknown): string {
  if (typeof v !== 'string') throw wants(name, 'a string', v);
  return v;
}

/** Stop strings: one, or a list. */
export function stops(v: unknown): string[] {
  if (v === undefined || v === null) return [];
  const list = Array.isArray(v) ? Array.from(v) : [v];
  for (const s of list) if (typeof s !== 'string' || s === '') throw wants('stop', 'strings that are not empty', s);
  return list;
}

/** Texts: one, or a list. undefined and null are absent. */
export function texts(name: string, v: unknown): string[] | undefined {
  if (v === undefined || v === null) return undefined;
  return (Array.isArray(v) ? Array.from(v) : [v]).map((s) => text(name, s));
}

/** What is added to the logits of tokens, by token: an object, a Map or pairs. -Infinity forbids one. */
export function biases(v: unknown): [number, number][] | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== 'object') throw wants('logitBias', 'an object of numbers, by token', v);
  const pairs = Symbol.iterator in v ? Array.from(v as Iterable<[unknown, unknown]>) : Object.entries(v);
  return Array.from(pairs, (pair) => {
    if (!Array.isArray(pair)) throw wants('logitBias', 'pairs of a token and a number', pair);
    const [token, bias]: unknown[] = pair;
    const id = typeof token === 'string' && token !== '' ? Number(token) : token;
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= 2 ** 31)
      throw wants('logitBias', 'token ids', token);
    if (typeof bias !== 'number' || !(bias <= largestFloat32))
      throw wants(`logitBias[${id}]`, 'a number, or -Infinity', bias);
    return [id, bias];
  });
}

/** true or false; undefined and null are absent. */
export function flag(name: string, v: unknown): boolean | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== 'boolean') throw wants(name, 'true or false', v);
  return v;
}

/** More tokens than any context has room for. */
const mostTokens = 2 ** 20;

/** Token ids: whole numbers from 0 up to, but not including, `vocab`. Lists that are too long are refused uncopied. */
export function tokenIds(name: string, v: unknown, vocab = 2 ** 31): Int32Array {
  const isList = typeof v === 'object' && v !== null && (Symbol.iterator in v || 'length' in v);
  if (!isList) throw wants(name, 'a list of token ids', v);
  const { length } = v as ArrayLike<unknown>;
  if (length !== undefined && !(length <= mostTokens)) throw tooMany(name, length);
  const ids: number[] = [];
  for (const id of Symbol.iterator in v ? (v as Iterable<unknown>) : Array.from(v as ArrayLike<unknown>)) {
    if (!(typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocab))
      throw wants(`${name}[${ids.length}]`, `a token id from 0 to ${vocab - 1}`, id);
    if (ids.push(id) > mostTokens) throw tooMany(name, 'more');
  }
  return Int32Array.from(ids);
}

function tooMany(name: string, got: unknown): LlamaError {
  const many = typeof got === 'string' ? got : shown(got);
  return new LlamaError('too-large', `${name}: want at most ${mostTokens} tokens, got ${many}`);
}

/** A function of the caller's. */
export function callback<T>(name: string, v: T): Exclude<T, null> | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v !== 'function') throw wants(name, 'a function', v);
  return v as Exclude<T, null>;
}

export function abortSignal(v: unknown): AbortSignal | undefined {
  if (v === undefined || v === null) return undefined;
  const s = v as Partial<AbortSignal>;
  if (typeof s.aborted !== 'boolean' || typeof s.addEventListener !== 'function')
    throw wants('signal', 'an AbortSignal', v);
  return v as AbortSignal;
}

/** Has f called when the signal aborts. Returns a function that calls that off. */
export function onAbort(signal: AbortSignal | undefined, f: () => void): () => void {
  if (!signal) return () => {};
  try {
    signal.addEventListener('abort', f, { once: true });
    return () => signal.removeEventListener('abort', f);
  } catch {
    // The methods of an AbortSignal refuse to be called on a proxy of it: look now and then.
    const timer = setInterval(() => {
      if (!signal.aborted) return;
      clearInterval(timer);
      f();
    }, 50);
    return () => clearInterval(timer);
  }
}

/** The messages of a conversation, copied. What no template can use, such as functions and DOM nodes, is left out. */
export function messages(v: unknown): ChatMessage[] {
  if (!Array.isArray(v)) throw wants('messages', 'an array of {role, content}', v);
  if (v.length === 0) throw invalid('messages: want at least one');
  return Array.from(v, (m: unknown, i) => message(`messages[${i}]`, m));
}

function message(name: string, v: unknown): ChatMessage {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) throw wants(name, 'an object with role and content', v);
  const m = v as Record<string, unknown>;
  const role = m['role'];
  if (typeof role !== 'string' || role === '') throw wants(`${name}.role`, 'a string that is not empty', role);
  const rest = plainCopy(name, v) as Record<string, unknown>;
  return { ...rest, role, content: content(`${name}.content`, m['content'], 'tool_calls' in rest) };
}

/** A message's content: a text, or text parts. A message that calls tools may have none. */
function content(name: string, v: unknown, optional: boolean): string {
  if (typeof v === 'string') return v;
  if (optional && (v === undefined || v === null)) return '';
  if (!Array.isArray(v)) throw wants(name, 'a string', v);
  const parts = Array.from(v, (p: { type?: unknown; text?: unknown } | null, i) => {
    if (p?.type !== 'text' || typeof p.text !== 'string')
      throw invalid(`${name}[${i}]: want a part {type: 'text', text}: models here read nothing but text`);
    return p.text;
  });
  return parts.join('');
}

const deepest = 32;

/** A copy of strings, numbers, booleans, null, and arrays and plain objects of these; undefined for everything else. */
export function plainCopy(name: string, v: unknown, depth = 0): unknown {
  if (depth > deepest) throw invalid(`${name}: nested more than ${deepest} deep, or in a circle`);
  if (typeof v === 'string' || typeof v === 'number' || typeof v === 'boolean' || v === null) return v;
  if (typeof v !== 'object') return undefined;
  if (Array.isArray(v)) return Array.from(v, (x) => plainCopy(name, x, depth + 1) ?? null);
  const prototype: unknown = Object.getPrototypeOf(v);
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null; // Object of any realm
  if (!plain && depth > 0) return undefined;
  const made: Record<string, unknown> = {};
  for (const [key, x] of Object.entries(v)) {
    const c = plainCopy(name, x, depth + 1);
    if (c !== undefined && key !== '__proto__') made[key] = c;
  }
  return made;
}

/** What URLs are relative to. Frames without an address of their own have their page's; a Worker of a blob its origin. */
export function base(): string | undefined {
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (!here?.startsWith('blob:')) return here;
  const { origin } = new URL(here);
  return origin === 'null' ? undefined : origin; // a sandbox has none
}

/** What the WebAssembly is read from: an address, its bytes, or a compiled module. */
export function wasmSource(v: unknown): WasmSource | undefined {
  if (v === undefined || v === null) return undefined;
  if (typeof v === 'string' || v instanceof URL) return base() ? url('wasm', v).href : String(v);
  if (v instanceof WebAssembly.Module || v instanceof ArrayBuffer || ArrayBuffer.isView(v)) return v as WasmSource;
  throw wants('wasm', 'a URL, bytes or a WebAssembly.Module', v);
}

/** A URL, seen from the page. */
export function url(name: string, v: unknown): URL {
  const given = typeof v === 'string' ? v : (v as Partial<URL> | null | undefined)?.href;
  try {
    return new URL(given as string, base());
  } catch {
    throw wants(name, 'a URL', v);
  }
}
