import { type CacheReport, manifestOf } from './cache.js';
import { type ChatMessage, renderChat } from './chat.js';
import { type DeviceOptions, gpuDevice } from './device.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import { type LoadModelOptions, loadModel, type Manifest, type Model } from './loader.js';
import { type DeviceInfo, endRuntime, type KernelTrial } from './runtime.js';
import { Stopper } from './stop.js';
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
}

/** Counts and times of the last generation, and memory in use. */
export interface Stats {
  device: DeviceInfo;
  loadSeconds: number;
  fromCache: boolean;
  /** Of the last generation. */
  promptTokens: number;
  generatedTokens: number;
  firstTokenSeconds: number;
  tokensPerSecond: number; // after the first token
  end: 'eos' | 'length' | 'stop' | 'aborted' | 'error' | undefined;
  /** Bytes on the GPU by purpose. */
  memory: Record<string, number>;
  memoryBytes: number;
  /** The trials of kernels that could replace the baseline. */
  kernels: KernelTrial[];
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
  chat(messages: readonly ChatMessage[], options?: GenerateOptions): AsyncGenerator<string, void, undefined>;
  encode(text: string): Promise<Int32Array>;
  decode(ids: Iterable<number>): Promise<string>;
  /** The logits of the tokens from index `from` on, one after the other: for comparisons. */
  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array>;
  stats(): Promise<Stats>;
  /** Releases everything, and ends a generation that is still running. */
  dispose(): Promise<void>;
}

/** Loads a bundle from the URL of its directory or manifest. */
export async function load(url: string | URL, options: LoadOptions = {}): Promise<TextModel> {
  const begun = performance.now();
  const device = options.device ?? (await gpuDevice(options));
  try {
    const model = await loadModel(device, { ...options, manifestUrl: manifestOf(url) });
    try {
      const transformer = new Transformer(device, model, options);
      await transformer.ready();
      return new LocalModel(model, transformer, options.device === undefined, (performance.now() - begun) / 1000);
    } catch (e) {
      await model.dispose();
      throw e;
    }
  } catch (e) {
    if (!options.device) {
      await endRuntime(device);
      device.destroy();
    }
    throw asError(e);
  }
}

/** A model in this thread. */
class LocalModel implements TextModel {
  readonly info: ModelInfo;
  private readonly run: Pick<
    Stats,
    'promptTokens' | 'generatedTokens' | 'firstTokenSeconds' | 'tokensPerSecond' | 'end'
  > = {
    promptTokens: 0,
    generatedTokens: 0,
    firstTokenSeconds: 0,
    tokensPerSecond: 0,
    end: undefined,
  };
  private readonly trials: KernelTrial[];
  private ended = false;

  constructor(
    private readonly model: Model,
    private readonly transformer: Transformer,
    private readonly ownDevice: boolean,
    private readonly loadSeconds: number,
  ) {
    this.info = infoOf(model.manifest, model.cache);
    this.trials = model.kernels();
  }

  get device(): DeviceInfo {
    return this.model.runtime.info;
  }

  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, void, undefined> {
    this.throwIfEnded();
    const tokenizer = this.model.tokenizer;
    let ids = tokenizer.encode(prompt);
    const bos = this.model.go.bos;
    if (ids.length === 0 && bos >= 0) ids = Int32Array.of(bos);
    if (ids.length === 0) throw new LlamaError('invalid-argument', 'The prompt has no token.');
    yield* this.continue(ids, options);
  }

  async *chat(
    messages: readonly ChatMessage[],
    options: GenerateOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    const text = await renderChat(this.model, messages);
    yield* this.continue(this.model.tokenizer.encode(text, { special: false }), options);
  }

  private async *continue(ids: Int32Array, o: GenerateOptions): AsyncGenerator<string, void, undefined> {
    throwIfAborted(o.signal);
    this.throwIfEnded();
    const stops = typeof o.stop === 'string' ? [o.stop] : (o.stop ?? []);
    if (stops.includes('')) throw new LlamaError('invalid-argument', 'stop: an empty text is everywhere');
    const stopper = new Stopper(stops);
    const { signal: _signal, onToken: _onToken, stop: _stop, ...sampling } = o;
    const generation = await this.transformer.generate(ids, {
      ...sampling,
      seed: o.seed ?? Math.floor(Math.random() * 2 ** 53),
    });
    const begun = performance.now();
    let last = begun;
    let first = begun;
    Object.assign(this.run, {
      promptTokens: ids.length,
      generatedTokens: 0,
      firstTokenSeconds: 0,
      tokensPerSecond: 0,
      end: 'error',
    });
    try {
      for (;;) {
        throwIfAborted(o.signal);
        this.throwIfEnded();
        const step = await this.model.runtime.wait(generation.next());
        const now = performance.now();
        if (step.token !== undefined) {
          if (this.run.generatedTokens++ === 0) {
            first = now;
            this.run.firstTokenSeconds = (now - begun) / 1000;
          } else {
            this.run.tokensPerSecond = (1000 * (this.run.generatedTokens - 1)) / (now - first);
          }
          o.onToken?.({ id: step.token, ms: now - last });
          last = now;
        }
        const text = stopper.push(step.text);
        const tail = step.end && !stopper.stopped ? stopper.flush() : '';
        if (stopper.stopped || step.end) this.run.end = stopper.stopped ? 'stop' : step.end;
        if (text || tail) yield text + tail;
        if (stopper.stopped || step.end) return;
      }
    } catch (e) {
      const error = asError(e);
      if (error.code === 'aborted') this.run.end = 'aborted';
      throw error;
    } finally {
      if (this.run.end === 'error') this.run.end = 'aborted'; // whoever read it has left
      if (!this.ended) generation.stop(); // else dispose() has
    }
  }

  private throwIfEnded(): void {
    if (this.ended) throw new LlamaError('disposed', 'The model has been disposed of.');
  }

  async encode(text: string): Promise<Int32Array> {
    return this.model.tokenizer.encode(text);
  }

  async decode(ids: Iterable<number>): Promise<string> {
    return this.model.tokenizer.decode(ids);
  }

  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array> {
    return this.transformer.forward(tokens, { from });
  }

  async stats(): Promise<Stats> {
    const { memory, heapBytes, pipelines, compileSeconds } = this.model.runtime.api.memory();
    return {
      device: this.device,
      loadSeconds: this.loadSeconds,
      fromCache: this.model.fromCache,
      ...this.run,
      memory,
      memoryBytes: Object.values(memory).reduce((a, b) => a + b, 0),
      kernels: this.trials,
      pipelines,
      compileSeconds,
      wasmBytes: this.model.runtime.wasmBytes,
      heapBytes,
    };
  }

  async dispose(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    await this.model.dispose();
    if (this.ownDevice) {
      await endRuntime(this.model.device);
      this.model.device.destroy();
    }
  }
}

function infoOf(m: Manifest, cache: CacheReport): ModelInfo {
  return {
    id: m.id,
    format: m.quantization.format,
    block: m.quantization.block,
    bytes: m.files.reduce((n, f) => n + f.size, 0),
    layers: m.spec.layers.length,
    context: m.spec.max_positions ?? 0,
    hasChat: Boolean(m.tokenizer.chat_template),
    cache,
  };
}
