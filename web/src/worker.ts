import type { ChatMessage } from './chat.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import type { Call, Loaded, Reply, Request } from './protocol.js';
import type { DeviceInfo } from './runtime.js';
import type { GenerateOptions, LoadOptions, ModelInfo, Stats, TextModel } from './text.js';

export interface WorkerLoadModelOptions extends Omit<LoadOptions, 'device' | 'fetch'> {
  /** Replaces the package's own Worker, for bundlers that need their own way to create one. */
  worker?: Worker;
}

/** load() of the main entry point, with all the work in a Worker: the page stays responsive while kernels compile. */
export async function load(url: string | URL, options: WorkerLoadModelOptions = {}): Promise<TextModel> {
  throwIfAborted(options.signal);
  const { worker, signal, onProgress, ...rest } = options;
  const thread = new Thread(
    worker ?? new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module', name: 'llama-webgpu' }),
  );
  try {
    const call: Call = { op: 'load', url: new URL(url, globalThis.location?.href).href, options: rest };
    const { info, device } = await thread.ask<Loaded>(call, {
      signal,
      onReply: (r) => 'progress' in r && onProgress?.(r.progress),
    });
    return new RemoteModel(thread, info, device);
  } catch (e) {
    thread.end(new LlamaError('disposed', 'The model was not loaded.'));
    throw asError(e);
  }
}

interface Asked {
  resolve: (value: never) => void;
  reject: (e: unknown) => void;
  onReply: ((r: Reply) => void) | undefined;
}

/** A Worker that answers calls. */
class Thread {
  private last = 0;
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
    const abort = () => this.post({ id, abort: true });
    return new Promise<T>((resolve, reject) => {
      this.open.set(id, { resolve: resolve as (value: never) => void, reject, onReply: o.onReply });
      this.post({ id, call });
      if (o.signal?.aborted) abort();
      else o.signal?.addEventListener('abort', abort, { once: true });
    }).finally(() => o.signal?.removeEventListener('abort', abort));
  }

  private post(request: Request): void {
    this.worker.postMessage(request);
  }

  private reply(r: Reply): void {
    const asked = this.open.get(r.id);
    if (!asked) return;
    if (!('value' in r || 'error' in r)) {
      asked.onReply?.(r);
      return;
    }
    this.open.delete(r.id);
    if ('error' in r) asked.reject(new LlamaError(r.error.code, r.error.message));
    else asked.resolve(r.value as never);
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
  constructor(
    private readonly thread: Thread,
    readonly info: ModelInfo,
    readonly device: DeviceInfo,
  ) {}

  generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.stream(options, (o) => ({ op: 'generate', prompt, options: o }));
  }

  chat(messages: readonly ChatMessage[], options: GenerateOptions = {}): AsyncGenerator<string, void, undefined> {
    return this.stream(options, (o) => ({ op: 'chat', messages: [...messages], options: o }));
  }

  private async *stream(
    { signal, onToken, ...rest }: GenerateOptions,
    call: (o: Omit<GenerateOptions, 'signal' | 'onToken'>) => Call,
  ): AsyncGenerator<string, void, undefined> {
    throwIfAborted(signal);
    const ender = new AbortController();
    const abort = () => ender.abort();
    signal?.addEventListener('abort', abort, { once: true });
    const pieces: string[] = [];
    let wake = () => {};
    let over = false;
    const done = this.thread
      .ask<void>(call(rest), {
        signal: ender.signal,
        onReply: (r) => {
          if ('token' in r) onToken?.(r.token);
          if ('text' in r) pieces.push(r.text);
          wake();
        },
      })
      .finally(() => {
        over = true;
        wake();
      });
    done.catch(() => {}); // thrown below
    try {
      while (!over || pieces.length > 0) {
        const text = pieces.shift();
        if (text !== undefined) yield text;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (over) resolve();
          });
      }
      await done;
    } finally {
      signal?.removeEventListener('abort', abort);
      if (!over) {
        // the caller has left the loop
        ender.abort();
        await done.catch(() => {});
      }
    }
  }

  encode(text: string): Promise<Int32Array> {
    return this.thread.ask({ op: 'encode', text });
  }

  decode(ids: Iterable<number>): Promise<string> {
    return this.thread.ask({ op: 'decode', ids: Int32Array.from(ids) });
  }

  logits(tokens: ArrayLike<number>, from: number): Promise<Float32Array> {
    return this.thread.ask({ op: 'logits', tokens: Int32Array.from(tokens), from });
  }

  stats(): Promise<Stats> {
    return this.thread.ask({ op: 'stats' });
  }

  async dispose(): Promise<void> {
    await this.thread.ask({ op: 'dispose' }).catch(() => {});
    this.thread.end(new LlamaError('disposed', 'The model has been disposed of.'));
  }
}
