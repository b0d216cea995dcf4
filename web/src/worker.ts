import { unlessAborted } from './abort.js';
import {
  abortSignal,
  callback,
  checked,
  invalid,
  messages as messagesOf,
  number,
  onAbort,
  oneOf,
  options as optionsOf,
  text as textOf,
  tokenIds,
} from './arguments.js';
import { wasmPlaces } from './assets.js';
import type { BenchmarkOptions, BenchmarkReport } from './benchmark.js';
import { manifestOf } from './cache.js';
import { Callback, forCaller } from './callback.js';
import type { ChatMessage } from './chat.js';
import { type AnswerPart, answerOptions, templateOptions } from './conversation.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import { filesOf, type Source } from './files.js';
import { benchmarkOptions, loadOptions, textOptions, transformerOptions } from './options.js';
import type { Call, Loaded, Reply, Request, WorkerGenerateOptions, WorkerLoadOptions } from './protocol.js';
import type { DeviceInfo } from './runtime.js';
import { noWorker, ways } from './start.js';
import type { AnswerOptions, ChatOptions, GenerateOptions, LoadOptions, ModelInfo, Stats, TextModel } from './text.js';

export interface WorkerLoadModelOptions extends Omit<LoadOptions, 'device' | 'fetch'> {
  /** A Worker of llama-webgpu/worker-thread, for bundlers that need their own way to create one. */
  worker?: Worker;
}

/** How long a Worker may take to end a call or itself, in ms, before it is terminated. */
const grace = 5000;

/** How long a Worker may take to start, in ms: its file comes from a server that may have gone silent. */
const patience = 15_000;

/** load() of the main entry point, with all the work in a Worker: the page stays responsive while kernels compile. */
export async function load(source: Source, options: WorkerLoadModelOptions = {}): Promise<TextModel> {
  try {
    const { call, signal, onProgress, onWarning, worker } = checked(() => loadCall(source, optionsOf(options)));
    throwIfAborted(signal);
    const thread = worker ? new Thread(worker) : await start(signal);
    const ender = new AbortController();
    const settled = onAbort(signal, () => ender.abort());
    const report = new Callback(onProgress, () => ender.abort());
    const warn = new Callback(onWarning ?? ((message: string) => console.warn(`llama-webgpu: ${message}`)));
    try {
      const { info, device } = await thread.ask<Loaded>(call, {
        signal: ender.signal,
        onReply: (r) => {
          if ('progress' in r) report.call(r.progress);
          if ('warning' in r) warn.call(r.warning);
        },
      });
      report.throwIfFailed();
      warn.throwIfFailed();
      return new RemoteModel(thread, info, device);
    } catch (e) {
      thread.end(new LlamaError('disposed', 'The model was not loaded.'));
      throw report.failure ?? e;
    } finally {
      settled();
    }
  } catch (e) {
    throw forCaller(e);
  }
}

export interface WorkerBenchmarkOptions extends Omit<BenchmarkOptions, 'device' | 'fetch'> {
  /** A Worker of llama-webgpu/worker-thread, which is ended afterward. */
  worker?: Worker;
}

/** benchmark() of the main entry point, in a Worker of its own. */
export async function benchmark(
  source?: Source | null,
  options: WorkerBenchmarkOptions = {},
): Promise<BenchmarkReport> {
  try {
    const { call, signal, onProgress, worker } = checked(() => benchmarkCall(source, optionsOf(options)));
    throwIfAborted(signal);
    const thread = worker ? new Thread(worker) : await start(signal);
    const ender = new AbortController();
    const settled = onAbort(signal, () => ender.abort());
    const report = new Callback(onProgress, () => ender.abort());
    try {
      const done = await thread.ask<BenchmarkReport>(call, {
        signal: ender.signal,
        onReply: (r) => 'tuning' in r && report.call(r.tuning),
      });
      report.throwIfFailed();
      return done;
    } catch (e) {
      throw report.failure ?? e;
    } finally {
      settled();
      thread.end(new LlamaError('disposed', 'The benchmark is over.'));
    }
  } catch (e) {
    throw forCaller(e);
  }
}

/** The call that tries kernels, with nothing in it that cannot be sent, and what stays here. */
function benchmarkCall(source: Source | null | undefined, o: WorkerBenchmarkOptions) {
  const { signal, onProgress, device, fetch, tokens, wasm, ...plain } = benchmarkOptions(o);
  const sent = { ...plain, ...(tokens && { tokens }), ...(wasm !== undefined && { wasm }), ...workerOptions(o) };
  const where = source === undefined || source === null ? { url: null } : placeOf(source);
  const call: Call = { op: 'benchmark', ...where, options: sent, wasmPlaces: wasmPlaces() };
  return { call, signal, onProgress, worker: o.worker };
}

/** The call that loads, with nothing in it that cannot be sent, and what stays here. */
function loadCall(source: Source, o: WorkerLoadModelOptions) {
  const { signal, onProgress, onWarning, fetch, ...rest } = loadOptions(o);
  const sent: WorkerLoadOptions = { ...rest, ...transformerOptions(o), ...workerOptions(o) };
  const call: Call = { op: 'load', ...placeOf(source), options: sent, wasmPlaces: wasmPlaces() };
  return { call, signal, onProgress, onWarning, worker: o.worker };
}

/** Refuses what a Worker cannot be given, and returns how it is to choose its GPU. */
function workerOptions(o: WorkerLoadModelOptions | WorkerBenchmarkOptions) {
  const { fetch, device } = o as LoadOptions;
  if (fetch) throw invalid('fetch: a Worker cannot call a function of the page');
  if (device) throw invalid('device: a Worker opens its own');
  if (o.worker !== undefined && typeof o.worker?.postMessage !== 'function') throw invalid('worker: want a Worker');
  const powerPreference = oneOf('powerPreference', o.powerPreference, ['low-power', 'high-performance'] as const);
  return powerPreference && { powerPreference };
}

/** Where the manifest of a bundle is, and its files if they are the visitor's. */
function placeOf(source: Source): { url: string; files?: File[] } {
  const local = filesOf(source);
  return local ? { url: local.manifestUrl, files: local.files } : { url: manifestOf(source as string | URL) };
}

/** Starts the package's Worker in the first way that works. */
async function start(signal: AbortSignal | undefined): Promise<Thread> {
  const reasons: string[] = [];
  for (const way of ways) {
    let thread: Thread | undefined;
    try {
      thread = new Thread(way());
      await unlessAborted(signal, thread.hello());
      throwIfAborted(signal);
      return thread;
    } catch (e) {
      const error = asError(e);
      thread?.end(error);
      throwIfAborted(signal);
      reasons.push(error.message);
    }
  }
  throw noWorker(reasons);
}

interface Asked {
  resolve: (value: never) => void;
  reject: (e: unknown) => void;
  onReply: ((r: Reply) => void) | undefined;
}

/** A Worker that answers calls. */
class Thread {
  private last = 0; // id of a call
  private heard = 0; // replies
  private readonly open = new Map<number, Asked>();
  private over: LlamaError | undefined;

  constructor(private readonly worker: Worker) {
    worker.onmessage = (event: MessageEvent<Reply>) => this.reply(event.data);
    worker.onerror = (event) =>
      this.end(new LlamaError('runtime', `The Worker failed: ${event.message || 'it could not be started'}`));
  }

  ask<T>(call: Call, o: { signal?: AbortSignal | undefined; onReply?: (r: Reply) => void } = {}): Promise<T> {
    if (this.over) return Promise.reject(this.over);
    const id = ++this.last;
    const abort = () => this.abort(id);
    return new Promise<T>((resolve, reject) => {
      this.open.set(id, { resolve: resolve as (value: never) => void, reject, onReply: o.onReply });
      this.post({ id, call });
      if (o.signal?.aborted) abort();
      else o.signal?.addEventListener('abort', abort, { once: true });
    }).finally(() => {
      this.open.delete(id);
      o.signal?.removeEventListener('abort', abort);
    });
  }

  /** Waits until the Worker runs. */
  async hello(): Promise<void> {
    const late = () => this.end(new LlamaError('network', `The Worker did not start within ${patience / 1000} s`));
    const timer = setTimeout(late, patience);
    await this.ask({ op: 'hello' }).finally(() => clearTimeout(timer));
  }

  /** Ends a call. A Worker that says nothing to that is stuck: it is terminated. */
  private abort(id: number): void {
    if (this.over) return;
    const heard = this.heard;
    this.post({ id, abort: true });
    setTimeout(() => {
      if (this.over || this.heard !== heard) return;
      this.open.get(id)?.reject(new LlamaError('aborted', 'Aborted by the caller.'));
      this.end(new LlamaError('runtime', `The Worker was stuck for ${grace / 1000} s, and has been terminated.`));
    }, grace);
  }

  private post(request: Request): void {
    this.worker.postMessage(request);
  }

  private reply(r: Reply): void {
    this.heard++;
    const asked = this.open.get(r.id);
    if (!asked) return;
    if (!('value' in r || 'error' in r)) {
      asked.onReply?.(r);
      return;
    }
    this.open.delete(r.id);
    if ('error' in r) {
      const { code, message, ...rest } = r.error;
      asked.reject(Object.assign(new LlamaError(code, message), rest));
    } else asked.resolve(r.value as never);
  }

  /** Terminates the Worker; pending calls fail. */
  end(why: LlamaError): void {
    this.over ??= why;
    this.worker.terminate();
    for (const { reject } of this.open.values()) reject(why);
    this.open.clear();
  }
}

/** A model in a Worker. */
class RemoteModel implements TextModel {
  private disposing: Promise<void> | undefined;

  constructor(
    private readonly thread: Thread,
    readonly info: ModelInfo,
    readonly device: DeviceInfo,
  ) {}

  generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.stream(options, (o) => ({ op: 'generate', prompt: textOf('prompt', prompt), options: o }));
  }

  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.stream(options, (o) => {
      const given = templateOptions(optionsOf(options));
      return { op: 'chat', messages: messagesOf(messages), options: { ...o, ...given } };
    });
  }

  answer(messages: readonly ChatMessage[], options: AnswerOptions = {}): AsyncGenerator<AnswerPart, void, undefined> {
    return this.stream(options, (o) => {
      const given = answerOptions(optionsOf(options));
      return { op: 'answer', messages: messagesOf(messages), options: { ...o, ...given } };
    });
  }

  /** Yields what the Worker sends of a text: strings, or parts of an answer. */
  private async *stream<T extends string | AnswerPart>(
    options: GenerateOptions,
    callOf: (o: WorkerGenerateOptions) => Call,
  ): AsyncGenerator<T, void, undefined> {
    const [call, signal, onToken, onPrompt] = checked(() => {
      const o = optionsOf(options);
      return [
        callOf(textOptions(o)),
        abortSignal(o.signal),
        callback('onToken', o.onToken),
        callback('onPrompt', o.onPrompt),
      ] as const;
    });
    throwIfAborted(signal);
    const ender = new AbortController();
    const settled = onAbort(signal, () => ender.abort());
    const pieces: T[] = [];
    let wake = () => {};
    let over = false;
    const told = new Callback(onToken, () => wake());
    const reading = new Callback(onPrompt, () => wake());
    const done = this.thread
      .ask<void>(call, {
        signal: ender.signal,
        onReply: (r) => {
          if ('token' in r) told.call(r.token);
          if ('prompt' in r) reading.call(r.prompt);
          if ('text' in r) pieces.push(r.text as T);
          wake();
        },
      })
      .finally(() => {
        over = true;
        wake();
      });
    done.catch(() => {}); // thrown below
    try {
      const failed = () => told.failure ?? reading.failure;
      while (!failed() && (!over || pieces.length > 0)) {
        const piece = pieces.shift();
        if (piece !== undefined) yield piece;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (over || failed()) resolve();
          });
      }
      const failure = failed();
      if (failure) throw failure.thrown;
      await done;
    } finally {
      settled();
      if (!over) {
        // the caller has left the loop, or onToken has failed
        ender.abort();
        await done.catch(() => {});
      }
    }
  }

  async encode(text: string): Promise<Int32Array> {
    return this.thread.ask({ op: 'encode', text: textOf('text', text) });
  }

  async encodeChat(messages: readonly ChatMessage[]): Promise<Int32Array> {
    return this.thread.ask({ op: 'encodeChat', messages: checked(() => messagesOf(messages)) });
  }

  async decode(ids: Iterable<number>): Promise<string> {
    return this.thread.ask({ op: 'decode', ids: checked(() => tokenIds('ids', ids)) });
  }

  async logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array> {
    const [list, first] = checked(() => [tokenIds('tokens', tokens), number('from', from)] as const);
    if (first === undefined) throw invalid('from: want the index of a token');
    return this.thread.ask({ op: 'logits', tokens: list, from: first });
  }

  stats(): Promise<Stats> {
    return this.thread.ask({ op: 'stats' });
  }

  dispose(): Promise<void> {
    this.disposing ??= this.end();
    return this.disposing;
  }

  /** Has the Worker release everything, and terminates it, also if it does not answer. */
  private async end(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, grace);
    });
    await Promise.race([this.thread.ask({ op: 'dispose' }).catch(() => {}), late]);
    clearTimeout(timer);
    this.thread.end(new LlamaError('disposed', 'The model has been disposed of.'));
  }
}
