/** Every error that this package throws. */
export class LlamaError extends Error {
    code;
    constructor(code, message, options) {
        super(message, options);
        this.name = code === 'aborted' ? 'AbortError' : 'LlamaError';
        this.code = code;
    }
}
/** Turns what was thrown, here or in Go, into a LlamaError. */
export function asError(e) {
    if (e instanceof LlamaError)
        return e;
    if (typeof e === 'object' && e !== null && 'message' in e) {
        const { message, code, name } = e;
        if (name === 'AbortError')
            return new LlamaError('aborted', 'The caller ended it.', { cause: e });
        if (typeof code === 'string' && !(e instanceof Error))
            return new LlamaError(code, String(message));
        return new LlamaError('runtime', String(message), { cause: e });
    }
    return new LlamaError('runtime', String(e));
}
/** Throws if the signal has fired. */
export function throwIfAborted(signal) {
    if (signal?.aborted)
        throw new LlamaError('aborted', 'The caller ended it.', { cause: signal.reason });
}
