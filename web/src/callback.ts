import { asError, LlamaError } from './errors.js';

/** What a callback of the caller has thrown, on its way back to the caller. */
export class CallbackError extends LlamaError {
  constructor(readonly thrown: unknown) {
    super('runtime', 'A callback failed.', { cause: thrown });
  }
}

/** What to throw to the caller: what a callback of theirs has thrown, or a LlamaError. */
export function forCaller(e: unknown): unknown {
  return e instanceof CallbackError ? e.thrown : asError(e);
}

/** A function of the caller's. Once it has failed, it is not called again. */
export class Callback<T> {
  /** Set once it has thrown, or returned a promise that was rejected. */
  failure: CallbackError | undefined;

  constructor(
    private readonly f: ((value: T) => unknown) | undefined,
    private readonly failed: () => void = () => {},
  ) {}

  call(value: T): void {
    if (!this.f || this.failure) return;
    try {
      const result = this.f(value) as Partial<PromiseLike<unknown>> | undefined | null;
      if (typeof result?.then === 'function')
        // of any realm
        Promise.resolve(result).catch((e: unknown) => this.fail(e));
    } catch (e) {
      this.fail(e);
    }
  }

  private fail(e: unknown): void {
    if (this.failure) return;
    this.failure = new CallbackError(e);
    this.failed();
  }

  throwIfFailed(): void {
    if (this.failure) throw this.failure;
  }
}
