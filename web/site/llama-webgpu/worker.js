import { asError, LlamaError, throwIfAborted } from './errors.js';
/** As load() of the main entry, with all the work in a Worker: the page stays smooth while kernels compile. */
export async function load(url, options = {}) {
    throwIfAborted(options.signal);
    const { worker, signal, onProgress, ...rest } = options;
    const thread = new Thread(worker ?? new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module', name: 'llama-webgpu' }));
    try {
        const call = { op: 'load', url: new URL(url, globalThis.location?.href).href, options: rest };
        const { info, device } = await thread.ask(call, { signal, onReply: (r) => 'progress' in r && onProgress?.(r.progress) });
        return new RemoteModel(thread, info, device);
    }
    catch (e) {
        thread.end(new LlamaError('disposed', 'The model was not loaded.'));
        throw asError(e);
    }
}
/** A Worker that answers calls. */
class Thread {
    worker;
    last = 0;
    open = new Map();
    over;
    constructor(worker) {
        this.worker = worker;
        worker.onmessage = (event) => this.reply(event.data);
        worker.onerror = (event) => this.end(new LlamaError('runtime', `The Worker has failed: ${event.message || 'it could not be started'}`));
    }
    ask(call, o = {}) {
        if (this.over)
            return Promise.reject(this.over);
        const id = ++this.last;
        const abort = () => this.post({ id, abort: true });
        return new Promise((resolve, reject) => {
            this.open.set(id, { resolve: resolve, reject, onReply: o.onReply });
            this.post({ id, call });
            if (o.signal?.aborted)
                abort();
            else
                o.signal?.addEventListener('abort', abort, { once: true });
        }).finally(() => o.signal?.removeEventListener('abort', abort));
    }
    post(request) {
        this.worker.postMessage(request);
    }
    reply(r) {
        const asked = this.open.get(r.id);
        if (!asked)
            return;
        if (!('value' in r || 'error' in r)) {
            asked.onReply?.(r);
            return;
        }
        this.open.delete(r.id);
        if ('error' in r)
            asked.reject(new LlamaError(r.error.code, r.error.message));
        else
            asked.resolve(r.value);
    }
    /** Ends the Worker; what waits for it fails. */
    end(why) {
        this.over ??= why;
        this.worker.terminate();
        for (const { reject } of this.open.values())
            reject(why);
        this.open.clear();
    }
}
/** A model in a Worker. */
class RemoteModel {
    thread;
    info;
    device;
    constructor(thread, info, device) {
        this.thread = thread;
        this.info = info;
        this.device = device;
    }
    generate(prompt, options = {}) {
        return this.stream(options, (o) => ({ op: 'generate', prompt, options: o }));
    }
    chat(messages, options = {}) {
        return this.stream(options, (o) => ({ op: 'chat', messages: [...messages], options: o }));
    }
    async *stream({ signal, onToken, ...rest }, call) {
        throwIfAborted(signal);
        const ender = new AbortController();
        const abort = () => ender.abort();
        signal?.addEventListener('abort', abort, { once: true });
        const pieces = [];
        let wake = () => { };
        let over = false;
        const done = this.thread.ask(call(rest), {
            signal: ender.signal,
            onReply: (r) => {
                if ('token' in r)
                    onToken?.(r.token);
                if ('text' in r)
                    pieces.push(r.text);
                wake();
            },
        }).finally(() => { over = true; wake(); });
        done.catch(() => { }); // thrown below
        try {
            while (!over || pieces.length > 0) {
                const text = pieces.shift();
                if (text !== undefined)
                    yield text;
                else
                    await new Promise((resolve) => { wake = resolve; if (over)
                        resolve(); });
            }
            await done;
        }
        finally {
            signal?.removeEventListener('abort', abort);
            if (!over) { // whoever read it has left
                ender.abort();
                await done.catch(() => { });
            }
        }
    }
    encode(text) {
        return this.thread.ask({ op: 'encode', text });
    }
    decode(ids) {
        return this.thread.ask({ op: 'decode', ids: Int32Array.from(ids) });
    }
    logits(tokens, from) {
        return this.thread.ask({ op: 'logits', tokens: Int32Array.from(tokens), from });
    }
    stats() {
        return this.thread.ask({ op: 'stats' });
    }
    async dispose() {
        await this.thread.ask({ op: 'dispose' }).catch(() => { });
        this.thread.end(new LlamaError('disposed', 'The model has been disposed of.'));
    }
}
