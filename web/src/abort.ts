import { onAbort } from './arguments.js';
import { throwIfAborted } from './errors.js';

/** Waits for a promise, but not beyond an abort. What the promise brings after that is passed to `late`. */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  promise: Promise<T>,
  late: (value: T) => unknown = () => {},
): Promise<T> {
  let settled = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => {
      try {
        throwIfAborted(signal);
      } catch (e) {
        reject(e as Error);
      }
    };
    settled = onAbort(signal, abort);
    abort(); // if it was before
  });
  try {
    return await Promise.race([promise, aborted]);
  } catch (e) {
    if (signal?.aborted) void promise.then(late).catch(() => {});
    throw e;
  } finally {
    settled();
  }
}
