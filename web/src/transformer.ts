import {
  abortSignal,
  callback,
  checked,
  flag,
  invalid,
  number,
  numbers,
  options as optionsOf,
  text,
  tokenIds,
} from './arguments.js';
import { forCaller } from './callback.js';
import { LlamaError } from './errors.js';
import { Model } from './model.js';
import { textOptions, transformerOptions } from './options.js';
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
  /** Subtracted from the logits of recent tokens. */
  presencePenalty?: number;
  /** Subtracted from the logit of a recent token for each time that it occurs. */
  frequencyPenalty?: number;
  /** Added to the logits of tokens, by token; -Infinity forbids one. */
  logitBias?: Record<number, number> | Iterable<readonly [number, number]>;
  /** Only the tokens whose surprise is nearest to the expected one, as many as together have this probability. */
  typicalP?: number;
  /** XTC: with this probability, of the tokens above the threshold (0.1) only the least likely is kept. */
  xtcProbability?: number;
  xtcThreshold?: number;
  /** The temperature goes from `temperature` minus this, where the model is sure, to `temperature` plus this, where it is not. */
  dynamicTemperatureRange?: number;
  /** … with the entropy to this power. Default: 1. */
  dynamicTemperatureExponent?: number;
  /** DRY: subtracted from the logit of a token that continues a repetition of `dryAllowedLength` tokens (2) … */
  dryMultiplier?: number;
  /** … times this for each token more. Default: 1.75. */
  dryBase?: number;
  dryAllowedLength?: number;
  /** How many of the last tokens are looked at; -1, the default: all. */
  dryLast?: number;
  /** Texts that end a repetition. Default: a new line, a colon, a double quote and an asterisk. */
  dryBreakers?: string[];
  /**
   * What happens at the end of the context. `error` (default): a longer prompt is refused, and a text ends with `length`;
   * `truncate`: the oldest tokens of a longer prompt are dropped; `shift`: also, a text that gets there goes on without
   * the older half of its tokens.
   */
  onOverflow?: 'error' | 'truncate' | 'shift';
  /**
   * How many tokens at the beginning are never dropped. Default: the beginning-of-text token and system messages; with
   * `shift` the first token at least.
   */
  keep?: number;
  /**
   * The text is JSON that this schema accepts, or with `true` a JSON object. If a keyword of the schema cannot be
   * enforced, the error names it. A text that ends with `length` may be cut off.
   */
  jsonSchema?: object | boolean;
  /** The text matches this grammar, in the notation of llama.cpp (GBNF). */
  grammar?: string;
}

interface GenerationOptions extends GenerateTokensOptions {
  stop?: string | readonly string[];
  /** How a text begins that is never dropped, unless `keep` says otherwise. */
  opening?: string | undefined;
  /** Called after each chunk of the prompt; must not throw. */
  onRead?: (done: number, total: number) => void;
}

/** The options of a text as Go takes them. */
function generationOptions(o: Partial<GenerationOptions>) {
  return {
    seed: Math.floor(Math.random() * 2 ** 53),
    ...textOptions(o),
    opening: o.opening === undefined ? null : text('opening', o.opening),
    onRead: callback('onRead', o.onRead) ?? null,
  };
}

/** The most bytes of logits that one call may return. */
const mostLogits = 2 ** 30;

/** An array for logits, if there is room for it. */
function allocate(n: number): Float32Array {
  try {
    return new Float32Array(n);
  } catch (e) {
    throw new LlamaError('too-large', `from: there is no room for ${4 * n} bytes of logits`, { cause: e });
  }
}

/** A model with a KV cache. The cache is allocated at the first use, or by ready(). */
export class Transformer {
  private made: Promise<GoTransformer> | undefined;
  private disposed = false;

  private readonly options: TransformerOptions;

  constructor(
    device: GPUDevice,
    readonly model: Model,
    options: TransformerOptions = {},
  ) {
    if (!(model instanceof Model)) throw invalid('model: want one that loadModel() has loaded');
    if (device !== model.device) throw invalid('The model is on another device.');
    this.options = checked(() => transformerOptions(optionsOf(options)));
    const { kernelSet } = this.options;
    if (kernelSet !== undefined && kernelSet !== model.format)
      throw invalid(`kernelSet is ${kernelSet}, but the model is ${model.format}.`);
  }

  /** Allocates the cache, unless that has been done. */
  async ready(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const signal = checked(() => abortSignal(optionsOf(options).signal));
    await this.use(signal);
  }

  private async use(signal?: AbortSignal): Promise<GoTransformer> {
    try {
      return await this.prepare(signal);
    } catch (e) {
      throw forCaller(e);
    }
  }

  /**
   * Allocates the cache. What onWarning throws comes as a CallbackError.
   * @internal
   */
  async prepare(signal?: AbortSignal): Promise<GoTransformer> {
    if (this.disposed) throw new LlamaError('disposed', 'The transformer has been disposed of.');
    if (!this.made) {
      const { go, runtime } = this.model;
      this.warn(go.trained);
      this.made = runtime.waitUnlessAborted(signal, (onStart) => go.transformer({ ...this.options, onStart }));
      this.made.catch(() => {
        this.made = undefined;
      }); // the next call tries again
    }
    return this.made;
  }

  /** Says so if the context is longer than what the model was trained for. */
  private warn(trained: number): void {
    const { maxSeqLen } = this.options;
    if (trained > 0 && maxSeqLen !== undefined && maxSeqLen > trained)
      this.model.warn(
        `maxSeqLen is ${maxSeqLen}, but the model was trained for ${trained} positions, and may write nonsense beyond them.`,
      );
  }

  /**
   * The logits after the last token. `tokens` is the whole sequence: the prefix that it shares with the KV cache is not
   * computed again.
   */
  async forward(tokens: ArrayLike<number>, options: ForwardOptions = {}): Promise<Float32Array> {
    const [ids, o] = checked(() => this.forwardArguments(tokens, optionsOf(options)));
    const go = await this.use();
    const over = ids.length - go.context;
    if (over > 0) throw invalid(`tokens: got ${ids.length}, and the context has ${go.context}: ${over} too many`);
    const { vocab } = this.model.manifest.spec;
    const logits = allocate(vocab * (ids.length - (o.from ?? ids.length - 1)));
    await this.model.runtime.wait(async () => go.forward(ids, { ...o, logits }));
    return logits;
  }

  /** Copies the arguments of forward, and refuses logits of a size that cannot be. */
  private forwardArguments(tokens: ArrayLike<number>, o: ForwardOptions): [Int32Array, ForwardOptions] {
    const { vocab } = this.model.manifest.spec;
    const ids = tokenIds('tokens', tokens, vocab);
    if (ids.length === 0) throw invalid('tokens: want at least one');
    const copy: ForwardOptions = { ...numbers(o, ['sequence']), append: Boolean(o.append) };
    const from = number('from', o.from);
    if (from === undefined) return [ids, copy];
    if (from >= ids.length) throw invalid(`from: want an index of the ${ids.length} tokens, got ${from}`);
    const bytes = 4 * vocab * (ids.length - from);
    if (bytes > mostLogits) {
      const most = Math.floor(mostLogits / (4 * vocab));
      throw new LlamaError(
        'too-large',
        `from: the logits of ${ids.length - from} tokens take ${bytes} bytes: ask for those of at most ${most} at once`,
      );
    }
    return [ids, { ...copy, from }];
  }

  /**
   * Begins to continue a prompt, a text or tokens: the caller asks for one piece after the other, and calls stop at the
   * end. With `special` (default), the tokenizer puts in front of a text what belongs there.
   */
  async generate(
    prompt: string | ArrayLike<number>,
    options: GenerationOptions & { special?: boolean } = {},
  ): Promise<GoGeneration> {
    const [start, o] = checked(() => {
      const { vocab } = this.model.manifest.spec;
      const given = optionsOf(options);
      const special = flag('special', given.special) ?? true;
      const text = typeof prompt === 'string' ? prompt : tokenIds('prompt', prompt, vocab);
      return [text, { ...generationOptions(given), special }] as const;
    });
    const go = await this.use();
    return this.model.runtime.call(() => unwrap(go.generate(start, o)));
  }

  /**
   * Begins to answer a conversation, as goConversation() has made it.
   * @internal
   */
  async answer(conversation: object, options: GenerationOptions): Promise<GoGeneration> {
    const o = checked(() => generationOptions(optionsOf(options)));
    const go = await this.use();
    return this.model.runtime.call(() => unwrap(go.answer(conversation, o)));
  }

  /** Empties the cache of the sequence that was used last. */
  async reset(): Promise<void> {
    const go = await this.use();
    await this.model.runtime.wait(async () => go.reset());
  }

  /** Releases its GPU memory. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    const go = await this.made?.catch(() => undefined);
    if (go && !this.model.isDisposed) await this.model.runtime.release(() => go.close()); // else the model has released it
  }
}
