// Options, checked and copied plainly. This module loads none of the others: the page needs it beside a Worker.
import {
  abortSignal,
  biases,
  callback,
  flag,
  numbers,
  oneOf,
  options as optionsOf,
  type Sampling,
  sampling,
  stops,
  text,
  texts,
  url as urlOf,
  wants,
  wasmSource,
} from './arguments.js';
import type { BenchmarkOptions } from './benchmark.js';
import { LlamaError } from './errors.js';
import type { LoadModelOptions } from './loader.js';
import type { GenerateTokensOptions, TransformerOptions } from './transformer.js';

/** A copy of the options of a load, with absolute URLs. */
export function loadOptions(o: Partial<LoadModelOptions>): Omit<LoadModelOptions, 'manifestUrl'> {
  const all = {
    ...numbers(o, ['concurrency']),
    weightUrl: absolute('weightUrl', o.weightUrl),
    vocabUrl: absolute('vocabUrl', o.vocabUrl),
    wasm: wasmSource(o.wasm),
    onProgress: callback('onProgress', o.onProgress),
    fetch: callback('fetch', o.fetch),
    signal: abortSignal(o.signal),
    cache: flag('cache', o.cache),
    kernels: oneOf('kernels', o.kernels, ['auto', 'baseline', 'subgroups', 'dot4', 'f16', 'matrix'] as const),
    tuning: flag('tuning', o.tuning),
    onWarning: callback('onWarning', o.onWarning),
  };
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined && v !== null));
}

function absolute(name: string, url: string | URL | undefined | null): string | undefined {
  if (url === undefined || url === null) return undefined;
  return globalThis.location ? urlOf(name, url).href : String(url); // without a page, as seen from the manifest
}

/** A copy of a transformer's options. An error names the one that is out of range. */
export function transformerOptions(o: TransformerOptions): TransformerOptions {
  const copy: TransformerOptions = numbers(o, ['maxBatch', 'maxSeqLen', 'chunk']);
  const kvBits = oneOf('kvBits', o.kvBits, [16, 32] as const);
  if (kvBits !== undefined) copy.kvBits = kvBits;
  const kernelSet = oneOf('kernelSet', o.kernelSet, ['int8', 'int4', 'int2', 'f16'] as const);
  if (kernelSet !== undefined) copy.kernelSet = kernelSet;
  return copy;
}

/** A copy of the options of benchmark(). */
export function benchmarkOptions(options: BenchmarkOptions | undefined | null) {
  const o = optionsOf(options ?? undefined);
  return {
    device: o.device ?? undefined,
    tokens: tokensOf(o.tokens),
    quick: flag('quick', o.quick) ?? false,
    keep: flag('keep', o.keep) ?? true,
    signal: abortSignal(o.signal),
    onProgress: callback('onProgress', o.onProgress),
    fetch: callback('fetch', o.fetch),
    wasm: wasmSource(o.wasm),
  };
}

function tokensOf(v: unknown): number[] | null {
  if (v === undefined || v === null) return null;
  if (!Array.isArray(v) || v.length === 0) throw wants('tokens', 'an array of numbers', v);
  for (const n of v)
    if (!(Number.isInteger(n) && n >= 1 && n <= 4096)) throw wants('tokens', 'numbers from 1 to 4096', n);
  return Array.from(v as number[]);
}

const numeric = [
  'maxTokens',
  'keep',
  'presencePenalty',
  'frequencyPenalty',
  'typicalP',
  'xtcProbability',
  'xtcThreshold',
  'dynamicTemperatureRange',
  'dynamicTemperatureExponent',
  'dryMultiplier',
  'dryBase',
  'dryAllowedLength',
  'dryLast',
] as const;

type Checked =
  | (typeof numeric)[number]
  | 'logitBias'
  | 'dryBreakers'
  | keyof Sampling
  | 'onOverflow'
  | 'jsonSchema'
  | 'grammar';
/** Does not compile if an option of a text is missing from the lists above. */
true satisfies Exclude<keyof GenerateTokensOptions, Checked> extends never ? true : false;

/** A copy of the options of a text, for Go, which reads them as plain numbers. */
export function textOptions(o: GenerateTokensOptions & { stop?: unknown }): GoTextOptions {
  const copy: GoTextOptions = { ...numbers(o, numeric), ...sampling(o), stop: stops(o.stop) };
  const logitBias = biases(o.logitBias);
  if (logitBias) copy.logitBias = logitBias;
  const dryBreakers = texts('dryBreakers', o.dryBreakers);
  if (dryBreakers) copy.dryBreakers = dryBreakers;
  const onOverflow = oneOf('onOverflow', o.onOverflow, ['error', 'truncate', 'shift'] as const);
  if (onOverflow !== undefined) copy.onOverflow = onOverflow;
  return { ...copy, ...form(o) };
}

/** What the text may look like: a schema as JSON, or a grammar. */
function form(o: GenerateTokensOptions & { schema?: string }): { schema?: string; grammar?: string } {
  const { jsonSchema, grammar, schema } = o;
  if (typeof schema === 'string') return { schema }; // a copy that the page has made
  const absent = jsonSchema === undefined || jsonSchema === null || jsonSchema === false;
  if (grammar !== undefined && grammar !== null) {
    if (!absent) throw wants('grammar', 'no jsonSchema beside it', grammar);
    return { grammar: text('grammar', grammar) };
  }
  if (absent) return {};
  if (jsonSchema !== true && typeof jsonSchema !== 'object')
    throw wants('jsonSchema', 'a JSON schema, or true', jsonSchema);
  try {
    return { schema: jsonSchema === true ? '{"type":"object"}' : JSON.stringify(jsonSchema) };
  } catch (e) {
    throw new LlamaError('invalid-argument', 'jsonSchema: cannot be written as JSON', { cause: e });
  }
}

type GoTextOptions = Omit<GenerateTokensOptions, 'jsonSchema' | 'logitBias'> & {
  stop: string[];
  schema?: string;
  logitBias?: [number, number][];
};
