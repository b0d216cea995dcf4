import { renderChat } from './chat.js';
import { manifestOf } from './cache.js';
import { gpuDevice } from './device.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import { loadModel } from './loader.js';
import { endRuntime } from './runtime.js';
import { Stopper } from './stop.js';
import { Transformer } from './transformer.js';
/** Loads a bundle from the URL of its directory or manifest. */
export async function load(url, options = {}) {
    const begun = performance.now();
    const device = options.device ?? await gpuDevice(options);
    try {
        const model = await loadModel(device, { ...options, manifestUrl: manifestOf(url) });
        try {
            const transformer = new Transformer(device, model, options);
            await transformer.ready();
            return new LocalModel(model, transformer, options.device === undefined, (performance.now() - begun) / 1000);
        }
        catch (e) {
            await model.dispose();
            throw e;
        }
    }
    catch (e) {
        if (!options.device) {
            await endRuntime(device);
            device.destroy();
        }
        throw asError(e);
    }
}
/** A model in this thread. */
class LocalModel {
    model;
    transformer;
    ownDevice;
    loadSeconds;
    info;
    run = {
        promptTokens: 0, generatedTokens: 0, firstTokenSeconds: 0, tokensPerSecond: 0, end: undefined,
    };
    trials;
    ended = false;
    constructor(model, transformer, ownDevice, loadSeconds) {
        this.model = model;
        this.transformer = transformer;
        this.ownDevice = ownDevice;
        this.loadSeconds = loadSeconds;
        this.info = infoOf(model.manifest, model.cache);
        this.trials = model.kernels();
    }
    get device() {
        return this.model.runtime.info;
    }
    async *generate(prompt, options = {}) {
        this.throwIfEnded();
        const tokenizer = this.model.tokenizer;
        let ids = tokenizer.encode(prompt);
        const bos = this.model.go.bos;
        if (ids.length === 0 && bos >= 0)
            ids = Int32Array.of(bos);
        if (ids.length === 0)
            throw new LlamaError('invalid-argument', 'The prompt has no token.');
        yield* this.continue(ids, options);
    }
    async *chat(messages, options = {}) {
        const text = await renderChat(this.model, messages);
        yield* this.continue(this.model.tokenizer.encode(text, { special: false }), options);
    }
    async *continue(ids, o) {
        throwIfAborted(o.signal);
        this.throwIfEnded();
        const stops = typeof o.stop === 'string' ? [o.stop] : o.stop ?? [];
        if (stops.includes(''))
            throw new LlamaError('invalid-argument', 'stop: an empty text is everywhere');
        const stopper = new Stopper(stops);
        const { signal: _signal, onToken: _onToken, stop: _stop, ...sampling } = o;
        const generation = await this.transformer.generate(ids, { ...sampling, seed: o.seed ?? Math.floor(Math.random() * 2 ** 53) });
        const begun = performance.now();
        let last = begun;
        let first = begun;
        Object.assign(this.run, { promptTokens: ids.length, generatedTokens: 0, firstTokenSeconds: 0, tokensPerSecond: 0, end: 'error' });
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
                    }
                    else {
                        this.run.tokensPerSecond = (1000 * (this.run.generatedTokens - 1)) / (now - first);
                    }
                    o.onToken?.({ id: step.token, ms: now - last });
                    last = now;
                }
                const text = stopper.push(step.text);
                const tail = step.end && !stopper.stopped ? stopper.flush() : '';
                if (stopper.stopped || step.end)
                    this.run.end = stopper.stopped ? 'stop' : step.end;
                if (text || tail)
                    yield text + tail;
                if (stopper.stopped || step.end)
                    return;
            }
        }
        catch (e) {
            const error = asError(e);
            if (error.code === 'aborted')
                this.run.end = 'aborted';
            throw error;
        }
        finally {
            if (this.run.end === 'error')
                this.run.end = 'aborted'; // whoever read it has left
            if (!this.ended)
                generation.stop(); // else dispose() has
        }
    }
    throwIfEnded() {
        if (this.ended)
            throw new LlamaError('disposed', 'The model has been disposed of.');
    }
    async encode(text) {
        return this.model.tokenizer.encode(text);
    }
    async decode(ids) {
        return this.model.tokenizer.decode(ids);
    }
    logits(tokens, from) {
        return this.transformer.forward(tokens, { from });
    }
    async stats() {
        const { memory, heapBytes, pipelines, compileSeconds } = this.model.runtime.api.memory();
        return {
            device: this.device, loadSeconds: this.loadSeconds, fromCache: this.model.fromCache, ...this.run,
            memory, memoryBytes: Object.values(memory).reduce((a, b) => a + b, 0),
            kernels: this.trials, pipelines, compileSeconds, wasmBytes: this.model.runtime.wasmBytes, heapBytes,
        };
    }
    async dispose() {
        if (this.ended)
            return;
        this.ended = true;
        await this.model.dispose();
        if (this.ownDevice) {
            await endRuntime(this.model.device);
            this.model.device.destroy();
        }
    }
}
function infoOf(m, cache) {
    return {
        id: m.id, format: m.quantization.format, block: m.quantization.block, bytes: m.files.reduce((n, f) => n + f.size, 0),
        layers: m.spec.layers.length, context: m.spec.max_positions ?? 0, hasChat: Boolean(m.tokenizer.chat_template), cache,
    };
}
