/** What went wrong, for programs: `error.code`. Messages are for people. */
export type ErrorCode =
  | 'webgpu-unavailable' // there is no WebGPU, or the page is not secure (https or localhost)
  | 'no-adapter' // WebGPU is available but offers no GPU
  | 'device-lost' // the driver crashed or the GPU was removed: load the model again
  | 'out-of-memory' // an allocation on the GPU failed
  | 'too-large' // the model needs more memory than there is
  | 'corrupt' // bytes are not what the manifest says
  | 'unsupported-version' // the bundle has another format version
  | 'not-found' // the server has no such file
  | 'network' // the server cannot be reached, or the connection broke
  | 'aborted' // by the caller's AbortSignal; the error's name is AbortError
  | 'invalid-argument'
  | 'busy' // the model is still generating: wait until it ends, or end it
  | 'disposed'
  | 'runtime'; // a bug in this package: please report it

/** Every error that this package throws. */
export class LlamaError extends Error {
  readonly code: ErrorCode;
  /** Of a benchmark that was aborted: whether what was found until then is kept. Undefined: nothing was found. */
  declare readonly kept?: boolean | undefined;
  /** For people: why it is not kept, and what to do. */
  declare readonly reason?: string | undefined;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = code === 'aborted' ? 'AbortError' : 'LlamaError';
    this.code = code;
  }
}

/** Turns anything thrown, in JavaScript or in Go, into a LlamaError. */
export function asError(e: unknown): LlamaError {
  if (e instanceof LlamaError) return e;
  if (typeof e === 'object' && e !== null && 'message' in e) {
    const { message, code, name } = e as { message: unknown; code?: unknown; name?: unknown };
    if (name === 'AbortError') return new LlamaError('aborted', 'Aborted by the caller.', { cause: e });
    if (typeof code === 'string' && !(e instanceof Error)) return new LlamaError(code as ErrorCode, String(message));
    return new LlamaError('runtime', String(message), { cause: e });
  }
  return new LlamaError('runtime', String(e));
}

/** Throws if the signal has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new LlamaError('aborted', 'Aborted by the caller.', { cause: signal.reason });
}
