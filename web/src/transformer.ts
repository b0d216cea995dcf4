import { asError, LlamaError } from './errors.js';
import type { Model } from './model.js';
import { type GoGeneration, type GoTransformer, unwrap } from './runtime.js';
import type { SampleOptions } from './sample.js';

export { type SampleOptions, sample } from './sample.js';

export interface TransformerOptions {
  /** The format that you expect the model to have; with another one, the constructor throws. */
  kernelSet?: 'int8' | 'int4' | 'int2' | 'f16';
  /** Sequences that the KV cache holds. Default: 1. */
  maxBatch?: number;
  /** Positions that the KV cache holds. Default: the model's context, at most 4096. */
  maxSeqLen?: number;
  /** Bits of a cached value: 16 (default) or 32. */
  kvBits?: 16 | 32;
  /** Tokens of a prompt that are computed at once. Default: 256. */
  chunk?: number;
}

export interface ForwardOptions {
  /** Which of the maxBatch sequences. Default: 0. */
  sequence?: number;
  /** The tokens follow those fed before, instead of being the whole sequence. */
  append?: boolean;
  /**
   * Returns the logits of all tokens from this index on, one after the other, instead of only the last one's. It counts
   * the tokens that are given: with `append`, 0 is the first new one.
   */
  from?: number;
}

/** How to choose tokens, and how many. Options of sample() that are left out are off, the temperature, too. */
export interface GenerateTokensOptions extends SampleOptions {
  /** Default: 256. */
  maxTokens?: number;
  /** Makes recent tokens less likely by this factor. */
  repeatPenalty?: number;
  /** How many of the last tokens are recent; -1: all. Default: 64. */
  repeatLast?: number;
  /**
   * What happens where the context ends. `error` (default): a longer prompt is refused, and a text ends with `length`;
   * `truncate`: the oldest tokens of a longer prompt are dropped; `shift`: also, a text that gets there goes on without
   * the older half of its tokens.
   */
  onOverflow?: 'error' | 'truncate' | 'shift';
  /** How many tokens at the beginning are never dropped. Default: the beginning-of-text token. */
  keep?: number;
}

type NumberOption = Exclude<keyof GenerateTokensOptions, 'onOverflow'> | Exclude<keyof ForwardOptions, 'append'>;

/** The options that are numbers. One that is missing here does not compile. */
const numbers: Record<NumberOption, 'whole' | 'real'> = {
  sequence: 'whole',
  from: 'whole',
  maxTokens: 'whole',
  keep: 'whole',
  temperature: 'real',
  topK: 'whole',
  topP: 'real',
  minP: 'real',
  repeatPenalty: 'real',
  repeatLast: 'whole',
  seed: 'whole',
};

/** A copy of options whose numbers are numbers. */
function checked<T extends object>(options: T): T {
  const o = { ...options } as Record<string, unknown>;
  for (const [name, kind] of Object.entries(numbers)) {
    const v = o[name];
    const whole = kind === 'whole';
    if (v === undefined || v === null) delete o[name];
    else if (!(whole ? Number.isSafeInteger(v) : Number.isFinite(v)))
      throw new LlamaError('invalid-argument', `${name} is ${String(v)}: want a ${whole ? 'whole ' : ''}number`);
  }
  for (const name of ['sequence', 'maxTokens', 'keep', 'topK']) {
    if ((o[name] as number) < 0) throw new LlamaError('invalid-argument', `${name} is ${o[name]}: want 0 or more`);
  }
  if ((o['seed'] as number) < 0) o['seed'] = Math.floor(Math.random() * 2 ** 53);
  if (o['topP'] === 0) o['temperature'] = 0; // nothing but the likeliest
  return o as T;
}

/** Tokens for Go. */
function tokensOf(tokens: ArrayLike<number>): Int32Array {
  return Int32Array.from(tokens, (id, i) => {
    if (Number.isInteger(id) && id >= 0 && id < 2 ** 31) return id;
    throw new LlamaError('invalid-argument', `token ${i} is ${String(id)}: want a whole number, 0 or more`);
  });
}

/** The largest values that Go accepts. */
const limits = [
  ['maxBatch', 8],
  ['maxSeqLen', 1 << 20],
  ['chunk', 4096],
] as const;

/** A model with a KV cache. The cache is allocated at the first use, or by ready(). */
export class Transformer {
  private made: Promise<GoTransformer> | undefined;
  private disposed = false;

  constructor(
    device: GPUDevice,
    readonly model: Model,
    private readonly options: TransformerOptions = {},
  ) {
    if (device !== model.device) throw new LlamaError('invalid-argument', 'The model is on another device.');
    if (options.kernelSet !== undefined && options.kernelSet !== model.format) {
      throw new LlamaError('invalid-argument', `kernelSet is ${options.kernelSet}, but the model is ${model.format}.`);
    }
    for (const [name, most] of limits) {
      const n = options[name];
      if (n !== undefined && !(Number.isInteger(n) && n > 0 && n <= most)) {
        throw new LlamaError('invalid-argument', `${name} is ${n}: want a whole number from 1 to ${most}`);
      }
    }
    if (![undefined, 16, 32].includes(options.kvBits))
      throw new LlamaError('invalid-argument', `kvBits is ${options.kvBits}: want 16 or 32`);
  }

  /** Allocates the cache, unless that has been done. */
  async ready(): Promise<void> {
    await this.go();
  }

  private go(): Promise<GoTransformer> {
    if (this.disposed) throw new LlamaError('disposed', 'The transformer has been disposed of.');
    if (!this.made) {
      this.made = this.model.runtime.wait(this.model.go.transformer(this.options));
      this.made.catch(() => {
        this.made = undefined;
      }); // the next call tries again
    }
    return this.made;
  }

  /**
   * The logits after the last token. `tokens` is the whole sequence: the prefix that it shares with the KV cache is not
   * computed again.
   */
  async forward(tokens: ArrayLike<number>, options: ForwardOptions = {}): Promise<Float32Array> {
    try {
      return await this.model.runtime.wait((await this.go()).forward(tokensOf(tokens), checked(options)));
    } catch (e) {
      throw asError(e);
    }
  }

  /**
   * Begins to continue a prompt, a text or tokens: the caller asks for one piece after the other, and calls stop at the
   * end. With `special` (default), the tokenizer puts in front of a text what belongs there.
   */
  async generate(
    prompt: string | ArrayLike<number>,
    options: GenerateTokensOptions & { stop?: readonly string[]; special?: boolean } = {},
  ): Promise<GoGeneration> {
    const go = await this.go();
    return unwrap(go.generate(typeof prompt === 'string' ? prompt : tokensOf(prompt), checked(options)));
  }

  /** Empties the cache of the sequence that was used last. */
  async reset(): Promise<void> {
    await (await this.go()).reset();
  }

  /** Releases its GPU memory. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    const go = await this.made?.catch(() => undefined);
    if (!this.model.isDisposed) await go?.close(); // else the model has released it
  }
}
