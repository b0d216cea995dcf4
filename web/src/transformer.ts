import { asError, LlamaError } from './errors.js';
import type { Model } from './loader.js';
import { type GoGeneration, type GoTransformer, unwrap } from './runtime.js';

export { type SampleOptions, sample } from './sample.js';

export interface TransformerOptions {
  /** The format that the model must have: a mistake is found before it is computed with. */
  kernelSet?: 'int8' | 'int4' | 'int2' | 'f16';
  /** Sequences that the KV cache holds, 1 unless told. */
  maxBatch?: number;
  /** Positions that the KV cache holds: the model's, at most 4096, unless told. */
  maxSeqLen?: number;
  /** Bits of a cached value, 16 (unless told) or 32. */
  kvBits?: 16 | 32;
  /** Tokens that run at once, 256 unless told. */
  chunk?: number;
}

export interface ForwardOptions {
  /** Which of maxBatch sequences, 0 unless told. */
  sequence?: number;
  /** The tokens follow those already fed, instead of being the whole sequence. */
  append?: boolean;
  /** Logits of the tokens from this one on, one after the other, instead of the last one's alone. */
  from?: number;
}

/** How to choose tokens, as in sample(), and for how long. */
export interface GenerateTokensOptions {
  maxTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  seed?: number;
}

/** The most that Go takes. */
const limits = [
  ['maxBatch', 8],
  ['maxSeqLen', 1 << 20],
  ['chunk', 4096],
] as const;

/** A model with a KV cache. The cache is made at the first use, or by ready(). */
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
      throw new LlamaError(
        'invalid-argument',
        `The model is ${model.format}: its kernels are not those of ${options.kernelSet}.`,
      );
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

  /** Allocates what is needed, if that has not been done. */
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
   * The logits after the last token. `tokens` is the whole sequence: what it has in common with what is in the KV
   * cache is not computed again.
   */
  async forward(tokens: ArrayLike<number>, options: ForwardOptions = {}): Promise<Float32Array> {
    try {
      return await this.model.runtime.wait((await this.go()).forward(Int32Array.from(tokens), options));
    } catch (e) {
      throw asError(e);
    }
  }

  /** Begins to generate; the caller asks for one token after the other, and stops at last. */
  async generate(tokens: ArrayLike<number>, options: GenerateTokensOptions = {}): Promise<GoGeneration> {
    const go = await this.go();
    return unwrap(go.generate(Int32Array.from(tokens), { ...options, maxTokens: options.maxTokens ?? 256 }));
  }

  /** Forgets the sequence that was used last. */
  async reset(): Promise<void> {
    (await this.go()).reset();
  }

  /** Gives the memory on the GPU back. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    const go = await this.made?.catch(() => undefined);
    if (!this.model.isDisposed) await go?.close(); // else it went with the model
  }
}
