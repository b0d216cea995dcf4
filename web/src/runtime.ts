import { unlessAborted } from './abort.js';
import { onAbort } from './arguments.js';
import { backend } from './backend.js';
import type { AnswerPart } from './conversation.js';
import { asError, LlamaError } from './errors.js';
import type { Tuned } from './tuning.js';
import { type WasmSource, wasmModule } from './wasm.js';
import { goFor } from './wasm_exec.js';

/** The result of a synchronous Go function, which cannot throw. */
type Result<T> = T | { failure: { code: string; message: string } };

/** What one step of a generation adds to the text. */
export interface GoPiece {
  token?: number; // absent if the text ended without one
  text: string; // what is final: empty while a character or a stop string is incomplete
  parts?: AnswerPart[]; // of an answer that is taken apart
  /** Of the last piece: why the text ended, and counts and times. */
  end?: 'eos' | 'length' | 'stop' | 'aborted';
  stats?: {
    promptTokens: number;
    droppedTokens: number; // to stay within the context
    cachedTokens: number; // of these, the ones that the prefix cache had
    generatedTokens: number;
    firstTokenSeconds: number;
    seconds: number;
    promptTokensPerSecond: number;
    tokensPerSecond: number; // after the first token
  };
}

/** A text that Go generates: each call of next computes one token. */
export interface GoGeneration {
  promptTokens: number;
  next(): Promise<GoPiece>;
  stop(): Promise<null>;
}

export interface GoTransformer {
  context: number; // tokens that a sequence has room for
  /** Fills `logits` with those of the tokens from `from` on. */
  forward(
    tokens: Int32Array,
    options: { sequence?: number; append?: boolean; from?: number; logits: Float32Array },
  ): Promise<null>;
  generate(prompt: string | Int32Array, options: object): Result<GoGeneration>;
  answer(conversation: object, options: object): Result<GoGeneration>;
  reset(): Promise<null>;
  close(): Promise<null>;
}

export interface GoModel {
  vocab: number;
  bos: number;
  eos: number[];
  hasTokenizer: boolean;
  encode(text: string, special: boolean): Result<Int32Array>;
  decode(tokens: Int32Array, skipSpecial: boolean): Result<string>;
  token(id: number): Result<string | null>;
  tuned: number; // entries of what benchmark() has found that are good for this program
  trained: number; // positions, 0: the manifest does not say
  /** onStart gets a function that cancels it. */
  transformer(options: object & { onStart: (cancel: () => void) => void }): Promise<GoTransformer>;
  kernels(): KernelTrial[];
  close(): Promise<null>;
}

/** The trial of a kernel that needs more of a device than the baseline does: it is used if it is right and faster. */
export interface KernelTrial {
  kernel: string;
  packing: string; // of the weights: "int4/128"
  relativeRMS: number; // of its differences from the baseline's results
  speed: number; // a multiple of the baseline's
  chosen: boolean;
  error: string; // why it could not be tried, or ''
}

export interface GoStats {
  heapBytes: number;
  pipelines: number;
  compileSeconds: number;
}

/** What was found for one kernel and one class of products, or for attention. Times are in milliseconds. */
export interface GoTuned {
  kernel: string;
  version: string; // of its text
  class: string;
  what: string; // matrices, for people
  tokens: number; // of the pass
  uses: number; // in a pass
  default: Record<string, number>; // constants without tuning
  best: Record<string, number>;
  before: number;
  after: number;
  tried: number; // candidates that were right, and timed
  wrong: number; // candidates that were not
}

/** Reads a file for Go: 1 to `length` bytes, starting at `offset`. */
export type GoRead = (offset: number, length: number) => Promise<Uint8Array>;

/** What cmd/wasm exports. */
interface GoApi {
  open(device: GPUDevice): Result<DeviceInfo>;
  load(bundle: {
    manifest: Uint8Array;
    vocab: Uint8Array | null;
    files: GoRead[];
    progress: (bytes: number) => void;
    kernels: string;
    tuning: Tuned[] | null;
    onStart: (cancel: () => void) => void; // gets a function that cancels the load
  }): Promise<GoModel>;
  tune(search: {
    manifest: Uint8Array | null;
    tokens: number[] | null;
    quick: boolean;
    progress: (done: number, total: number, now: string) => void;
    onStart: (cancel: () => void) => void;
  }): Promise<GoTuned[]>;
  memory(): Record<string, number>;
  stats(): Promise<GoStats>;
  close(): Promise<null>;
}

/** What a device is, and what it supports. */
export interface DeviceInfo {
  adapter: string;
  type: string; // "cpu" for a software renderer, else "unknown": WebGPU does not say more
  maxBufferSize: number; // bytes
  maxBinding: number; // bytes
  shaderF16: boolean;
  subgroups: boolean;
  timestamps: boolean;
  dotProduct: boolean;
}

/** Returns a result of Go, or throws its failure. */
export function unwrap<T>(r: Result<T>): T {
  if (typeof r === 'object' && r !== null && 'failure' in r) throw asError(r.failure);
  return r as T;
}

/** One instance of the WebAssembly, on one GPUDevice. */
export class Runtime {
  private constructor(
    readonly api: GoApi,
    readonly info: DeviceInfo,
    private readonly instance: WebAssembly.Instance,
    /** Rejected when the program has exited. */
    readonly over: Promise<never>,
  ) {}

  private ended = false; // by end()

  static async start(device: GPUDevice, source?: WasmSource): Promise<Runtime> {
    let ready!: (api: GoApi) => void;
    const api = new Promise<GoApi>((resolve) => {
      ready = resolve;
    });
    const scope = {
      Object,
      Array,
      Uint8Array,
      Int32Array,
      Float32Array,
      Promise,
      Date,
      Error,
      Function,
      TextEncoder,
      TextDecoder,
      crypto: globalThis.crypto,
      performance: globalThis.performance,
      console: globalThis.console,
      navigator: globalThis.navigator,
      llamaWebGPUBackend: backend,
      ready,
    };
    const go = goFor(scope);
    const instance = await WebAssembly.instantiate(await wasmModule(source), go.importObject);
    const exited = go.run(instance).then(() => {
      for (const timer of go._scheduledTimeouts.values()) clearTimeout(timer); // it cannot be woken any more
      throw new LlamaError('runtime', 'The WebAssembly has exited: see the console for the reason.');
    });
    exited.catch(() => {}); // wait() reports it
    const a = await Promise.race([api, exited]);
    return new Runtime(a, unwrap(a.open(device)), instance, exited);
  }

  /** Waits for an asynchronous call of Go; its errors become LlamaErrors. */
  async wait<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await Promise.race([call(), this.over]);
    } catch (e) {
      throw this.failure(e);
    }
  }

  /**
   * wait, for a call that can be canceled: it is when the signal aborts, which is not waited for. What it returns
   * nevertheless is closed.
   */
  async waitUnlessAborted<T extends { close(): Promise<null> }>(
    signal: AbortSignal | undefined,
    call: (onStart: (cancel: () => void) => void) => Promise<T>,
  ): Promise<T> {
    let settled = () => {};
    const onStart = (cancel: () => void) => {
      settled = onAbort(signal, cancel);
    };
    const done = this.wait(async () => {
      const made = await call(onStart);
      if (made === undefined)
        throw new LlamaError('runtime', 'The WebAssembly is about to end after an internal error.');
      return made;
    }).finally(() => settled());
    return unlessAborted(signal, done, (made) => made.close());
  }

  /** Calls Go; its errors become LlamaErrors. */
  call<T>(call: () => T): T {
    try {
      return call();
    } catch (e) {
      throw this.failure(e);
    }
  }

  private failure(e: unknown): LlamaError {
    if (this.ended) return new LlamaError('disposed', 'The model has been disposed of.');
    return asError(e);
  }

  /**
   * Has Go release something. It does not wait forever for a GPU or a program that hangs: what is not released then
   * goes with the device or the page.
   */
  async release(call: () => Promise<unknown>): Promise<void> {
    await within(grace, this.wait(call)).catch(() => {});
  }

  /** Ends the program. */
  async end(): Promise<void> {
    await this.release(() => this.api.close());
    this.ended = true;
  }

  /** Bytes of WebAssembly memory, which never shrinks. */
  get wasmBytes(): number {
    return (this.instance.exports['mem'] as WebAssembly.Memory).buffer.byteLength;
  }
}

/** How long to wait for Go to release something, in ms. */
const grace = 10_000;

/** Waits for a promise, but no longer than `ms`. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const runtimes = new WeakMap<GPUDevice, Promise<Runtime>>();

/** The runtime of a device, which is started only once. */
export function runtimeOf(device: GPUDevice, source?: WasmSource): Promise<Runtime> {
  let r = runtimes.get(device);
  if (!r) {
    r = Runtime.start(device, source);
    runtimes.set(device, r);
    const forget = () => runtimes.get(device) === r && runtimes.delete(device);
    r.then((runtime) => runtime.over.catch(forget), forget); // the next load starts another one
  }
  return r;
}

/** Stops the runtime of a device that is about to be destroyed. */
export async function endRuntime(device: GPUDevice): Promise<void> {
  const r = runtimes.get(device);
  runtimes.delete(device);
  const ended = r?.then((runtime) => runtime.end()).catch(() => {});
  // One that has not started, perhaps because its file does not come, has nothing to release: it ends when it has started.
  const started = r?.then(() => true).catch(() => true);
  const now = new Promise<boolean>((resolve) => setTimeout(resolve, 0, false));
  if (await Promise.race([started, now])) await ended;
}
