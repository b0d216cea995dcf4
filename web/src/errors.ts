/** What went wrong, for programs: `error.code`. The message is for people. */
export type ErrorCode =
  | 'webgpu-unavailable' // there is no WebGPU here, or the page is not secure (https or localhost)
  | 'no-adapter' // WebGPU is here and offers no GPU
  | 'device-lost' // the GPU or its driver has gone away; load the model again
  | 'out-of-memory' // an allocation on the GPU failed
  | 'too-large' // the model needs more memory than there is
  | 'corrupt' // bytes are not what the manifest says
  | 'unsupported-version' // a bundle of another format version
  | 'not-found' // the server has no such file
  | 'network' // the server cannot be reached, or gave up in the middle
  | 'aborted' // the caller's AbortSignal; the error's name is AbortError
  | 'invalid-argument'
  | 'busy' // the model is generating: wait for it, or end it
  | 'disposed'
  | 'runtime'; // a mistake of this package: please report it

/** Every error that this package throws. */
export class LlamaError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = code === 'aborted' ? 'AbortError' : 'LlamaError';
    this.code = code;
  }
}

/** Turns what was thrown, here or in Go, into a LlamaError. */
export function asError(e: unknown): LlamaError {
  if (e instanceof LlamaError) return e;
  if (typeof e === 'object' && e !== null && 'message' in e) {
    const { message, code, name } = e as { message: unknown; code?: unknown; name?: unknown };
    if (name === 'AbortError') return new LlamaError('aborted', 'The caller ended it.', { cause: e });
    if (typeof code === 'string' && !(e instanceof Error)) return new LlamaError(code as ErrorCode, String(message));
    return new LlamaError('runtime', String(message), { cause: e });
  }
  return new LlamaError('runtime', String(e));
}

/** Throws if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new LlamaError('aborted', 'The caller ended it.', { cause: signal.reason });
}
