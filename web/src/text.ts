import { unlessAborted } from './abort.js';
import {
  abortSignal,
  callback,
  checked,
  invalid,
  messages as messagesOf,
  onAbort,
  options as optionsOf,
  text,
} from './arguments.js';
import { type CacheReport, manifestOf } from './cache.js';
import { Callback, CallbackError, forCaller } from './callback.js';
import { type ChatMessage, openingOf, renderChat, renderer } from './chat.js';
import {
  type AnswerPart,
  answerOptions,
  type CallOptions,
  goConversation,
  type TemplateOptions,
  templateOptions,
  variablesOf,
  withSystem,
} from './conversation.js';
import { type DeviceOptions, gpuDevice } from './device.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import { fetchFiles, filesOf, type Source } from './files.js';
import { type LoadModelOptions, type Manifest, type Model, open } from './loader.js';
import { loadOptions, textOptions, transformerOptions } from './options.js';
import { type DeviceInfo, endRuntime, type GoGeneration, type GoPiece, type KernelTrial } from './runtime.js';
import { type GenerateTokensOptions, Transformer, type TransformerOptions } from './transformer.js';

export interface LoadOptions extends Omit<LoadModelOptions, 'manifestUrl'>, TransformerOptions, DeviceOptions {
  /** The GPU to use. Default: load() opens one, and dispose() closes it. */
  device?: GPUDevice;
}

export interface GenerateOptions extends GenerateTokensOptions {
  /** The text ends before any of these strings would appear. */
  stop?: string | readonly string[];
  signal?: AbortSignal;
  /** Called with each token as it is generated. */
  onToken?: (token: { id: number; ms: number }) => void;
  /** Called while a long prompt is read, after each chunk: how many of its tokens are in the KV cache. */
  onPrompt?: (progress: { done: number; total: number }) => void;
}

export interface ChatOptions extends GenerateOptions, TemplateOptions {}

export interface AnswerOptions extends ChatOptions, CallOptions {}

/** Counts and times of the last generation, and memory in use. */
export interface Stats {
  device: DeviceInfo;
  loadSeconds: number;
  fromCache: boolean;
  /** Tokens that prompt and text may have together. */
  contextTokens: number;
  /** Of the last generation. */
  promptTokens: number;
  /** Of prompt and text, the tokens dropped to stay within the context; of the prompt, those that the cache had. */
  droppedTokens: number;
  cachedTokens: number;
  generatedTokens: number;
  firstTokenSeconds: number;
  tokensPerSecond: number; // after the first token
  end: 'eos' | 'length' | 'stop' | 'aborted' | 'error' | undefined;
  /** Bytes on the GPU by purpose. */
  memory: Record<string, number>;
  memoryBytes: number;
  /** The trials of kernels that could replace the baseline. */
  kernels: KernelTrial[];
  /** How many of the choices that benchmark() has kept for this device the model was loaded with. */
  tuned: number;
  /** Kernels compiled, and how long that took. */
  pipelines: number;
  compileSeconds: number;
  /** Bytes of WebAssembly memory, and of the Go heap in it: objects in use or not yet collected. */
  wasmBytes: number;
  heapBytes: number;
}

/** What the manifest says about a model. */
export interface ModelInfo {
  id: string;
  format: string;
  block: number | undefined;
  bytes: number;
  layers: number;
  context: number;
  /** Tokens that prompt and text may have together, as it was loaded. */
  window: number;
  hasChat: boolean;
  cache: CacheReport;
}

/** A model that generates text. One in a Worker has the same methods. */
export interface TextModel {
  readonly info: ModelInfo;
  readonly device: DeviceInfo;
  /** Continues a text, and yields it piece by piece. */
  generate(prompt: string, options?: GenerateOptions): AsyncGenerator<string, void, undefined>;
  /** Answers the last message, using the model's own chat template. */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<string, void, undefined>;
  /**
   * Answers the last message, and takes the answer apart: text, thoughts, and calls of functions in whatever form the model writes
   * them. What the chat template cannot write, functions or results, is put into words.
   */
  answer(messages: readonly ChatMessage[], options?: AnswerOptions): AsyncGenerator<AnswerPart, void, undefined>;
  encode(text: string): Promise<Int32Array>;
  /** The tokens of a conversation, as chat() has the model read it. */
  encodeChat(messages: readonly ChatMessage[]): Promise<Int32Array>;
  decode(ids: Iterable<number>): Promise<string>;
  /** The logits of the tokens from index `from` on, one after the other: for comparisons. */
  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array>;
  stats(): Promise<Stats>;
  /** Releases everything, and ends a generation that is still running. */
  dispose(): Promise<void>;
}

/** Loads a bundle from the URL of its directory or manifest, or from its files. */
export async function load(source: Source, options: LoadOptions = {}): Promise<TextModel> {
  try {
    const begun = performance.now();
    const given = optionsOf(options);
    const local = checked(() => filesOf(source));
    const manifestUrl = local?.manifestUrl ?? checked(() => manifestOf(source as string | URL));
    const [o, shape] = checked(() => [loadOptions(given), transformerOptions(given)] as const);
    if (local) Object.assign(o, { fetch: fetchFiles(local.files), cache: false });
    const there = checked(() => given.device ?? undefined);
    const own = there === undefined;
    throwIfAborted(o.signal);
    const device = there ?? (await unlessAborted(o.signal, gpuDevice(given), (late) => late.destroy()));
    try {
      const [model, transformer] = await loadBoth(device, { ...o, manifestUrl }, shape);
      return new LocalModel(model, transformer, own, (performance.now() - begun) / 1000, shape);
    } catch (e) {
      if (own) {
        await endRuntime(device);
        device.destroy();
      }
      throw e;
    }
  } catch (e) {
    throw forCaller(e);
  }
}

async function loadBoth(
  device: GPUDevice,
  options: LoadModelOptions,
  shape: TransformerOptions,
): Promise<[Model, Transformer]> {
  const model = await open(device, options);
  try {
    const transformer = new Transformer(device, model, shape);
    await transformer.prepare(options.signal);
    return [model, transformer];
  } catch (e) {
    await model.dispose();
    throw e;
  }
}

type Run = Pick<
  Stats,
  | 'promptTokens'
  | 'droppedTokens'
  | 'cachedTokens'
  | 'generatedTokens'
  | 'firstTokenSeconds'
  | 'tokensPerSecond'
  | 'end'
>;

/** Counts and times the tokens of a generation. */
class Meter {
  readonly run: Run;
  private readonly begun = performance.now();
  private first = this.begun;
  private last = this.begun;

  constructor(promptTokens: number) {
    this.run = {
      promptTokens,
      droppedTokens: 0,
      cachedTokens: 0,
      generatedTokens: 0,
      firstTokenSeconds: 0,
      tokensPerSecond: 0,
      end: undefined,
    };
  }

  /** Notes a token, and returns the milliseconds since the one before. */
  token(): number {
    const now = performance.now();
    const ms = now - this.last;
    this.last = now;
    if (this.run.generatedTokens++ === 0) {
      this.first = now;
      this.run.firstTokenSeconds = ms / 1000;
    } else {
      this.run.tokensPerSecond = (1000 * (this.run.generatedTokens - 1)) / (now - this.first);
    }
    return ms;
  }
}

/** A model in this thread. */
class LocalModel implements TextModel {
  readonly info: ModelInfo;
  private run: Run = new Meter(0).run;
  private readonly trials: KernelTrial[];
  private readonly tuned: number;
  private ended = false;
  private disposing: Promise<void> | undefined;

  constructor(
    private readonly model: Model,
    private readonly transformer: Transformer,
    private readonly ownDevice: boolean,
    private readonly loadSeconds: number,
    shape: TransformerOptions,
  ) {
    this.info = infoOf(model.manifest, model.cache, shape.maxSeqLen);
    this.trials = model.kernels();
    this.tuned = model.tuned;
  }

  get device(): DeviceInfo {
    return this.model.runtime.info;
  }

  generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.continue(options, textOf, async (o) => this.transformer.generate(text('prompt', prompt), o));
  }

  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.continue(options, textOf, async (o) => {
      const [said, given] = checked(() => [messagesOf(messages), templateOptions(optionsOf(options))] as const);
      const input = { tools: given.tools, variables: variablesOf(given) };
      const rendered = renderChat(this.model, said, input, given.continueLast);
      return this.transformer.generate(rendered.text, { ...o, special: false, opening: rendered.opening });
    });
  }

  answer(messages: readonly ChatMessage[], options: AnswerOptions = {}): AsyncGenerator<AnswerPart, void, undefined> {
    return this.continue(options, partsOf, async (o) => {
      const [said, given] = checked(
        () => [withSystem(messagesOf(messages)), answerOptions(optionsOf(options))] as const,
      );
      const write = renderer(this.model);
      const opening = openingOf(write, said, { tools: given.tools, variables: variablesOf(given) });
      return this.transformer.answer(
        checked(() => goConversation(said, given, write, this.model.manifest.tokenizer.chat_template ?? '')),
        { ...o, opening },
      );
    });
  }

  /** Generates what `begin` begins, and yields what `take` takes of each piece. */
  private async *continue<T>(
    options: GenerateOptions,
    take: (piece: GoPiece) => T[],
    begin: (
      o: Omit<GenerateOptions, 'jsonSchema'> & { onRead: (done: number, total: number) => void },
    ) => Promise<GoGeneration>,
  ): AsyncGenerator<T, void, undefined> {
    const [o, signal, onToken, onPrompt] = checked(() => {
      const given = optionsOf(options);
      return [
        textOptions(given),
        abortSignal(given.signal),
        callback('onToken', given.onToken),
        callback('onPrompt', given.onPrompt),
      ] as const;
    });
    throwIfAborted(signal);
    this.throwIfEnded();
    const reading = new Callback(onPrompt, () => stop());
    const onRead = (done: number, total: number) => reading.call({ done, total });
    const generation = await begin({ ...o, onRead });
    const meter = new Meter(generation.promptTokens);
    this.run = meter.run;
    let stopping: Promise<unknown> | undefined;
    const stop = () => {
      stopping ??= this.model.runtime.release(() => generation.stop());
    };
    const told = new Callback(onToken);
    const settled = onAbort(signal, stop);
    try {
      for (;;) {
        throwIfAborted(signal);
        this.throwIfEnded();
        const piece = await this.model.runtime.wait(() => generation.next());
        if (piece.token !== undefined) told.call({ id: piece.token, ms: meter.token() });
        told.throwIfFailed();
        reading.throwIfFailed();
        if (piece.end) this.run.end = piece.end;
        if (piece.stats) {
          const { promptTokens, droppedTokens, cachedTokens } = piece.stats;
          Object.assign(this.run, { promptTokens, droppedTokens, cachedTokens });
        }
        throwIfAborted(signal);
        this.throwIfEnded();
        for (const part of take(piece)) yield* passed(part);
        if (piece.end) return;
      }
    } catch (e) {
      this.run.end = asError(e).code === 'aborted' ? 'aborted' : 'error';
      throw forCaller(e);
    } finally {
      this.run.end ??= 'aborted'; // the caller has left the loop
      settled();
      if (!this.ended) stop(); // else dispose() has
      await stopping;
    }
  }

  private throwIfEnded(): void {
    if (this.ended) throw new LlamaError('disposed', 'The model has been disposed of.');
  }

  async encode(text: string): Promise<Int32Array> {
    return this.model.tokenizer.encode(text);
  }

  async encodeChat(messages: readonly ChatMessage[]): Promise<Int32Array> {
    const { text } = renderChat(
      this.model,
      checked(() => messagesOf(messages)),
    );
    return this.model.tokenizer.encode(text, { special: false });
  }

  async decode(ids: Iterable<number>): Promise<string> {
    return this.model.tokenizer.decode(ids);
  }

  async logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array> {
    if (from === undefined || from === null) throw invalid('from: want the index of a token');
    return this.transformer.forward(tokens, { from });
  }

  async stats(): Promise<Stats> {
    const { runtime } = this.model;
    const memory = runtime.call(() => runtime.api.memory());
    const { heapBytes, pipelines, compileSeconds } = await runtime.wait(() => runtime.api.stats());
    return {
      device: this.device,
      loadSeconds: this.loadSeconds,
      fromCache: this.model.fromCache,
      contextTokens: (await this.transformer.prepare()).context,
      ...this.run,
      memory,
      memoryBytes: Object.values(memory).reduce((a, b) => a + b, 0),
      kernels: this.trials,
      tuned: this.tuned,
      pipelines,
      compileSeconds,
      wasmBytes: this.model.runtime.wasmBytes,
      heapBytes,
    };
  }

  dispose(): Promise<void> {
    this.disposing ??= this.release();
    return this.disposing;
  }

  private async release(): Promise<void> {
    this.ended = true;
    await this.model.dispose();
    if (this.ownDevice) {
      await endRuntime(this.model.device);
      this.model.device.destroy();
    }
  }
}

const textOf = (piece: GoPiece): string[] => (piece.text ? [piece.text] : []);
const partsOf = (piece: GoPiece): AnswerPart[] => piece.parts ?? [];

/** Yields a piece. What the caller throws into the generator meanwhile goes back to the caller as it is. */
async function* passed<T>(part: T): AsyncGenerator<T, void, undefined> {
  try {
    yield part;
  } catch (e) {
    throw new CallbackError(e);
  }
}

/** The length of a context that is not given, if the model was trained for that. */
const usualWindow = 4096;

function infoOf(m: Manifest, cache: CacheReport, window: number | undefined): ModelInfo {
  return {
    id: m.id,
    format: m.quantization.format,
    block: m.quantization.block,
    bytes: m.files.reduce((n, f) => n + f.size, 0),
    layers: m.spec.layers.length,
    context: m.spec.max_positions ?? 0,
    window: window ?? Math.min(m.spec.max_positions ?? usualWindow, usualWindow),
    hasChat: Boolean(m.tokenizer.chat_template),
    cache,
  };
}
