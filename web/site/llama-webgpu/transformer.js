import { asError, LlamaError } from './errors.js';
import { unwrap } from './runtime.js';
export { sample } from './sample.js';
/** The most that Go takes. */
const limits = [['maxBatch', 8], ['maxSeqLen', 1 << 20], ['chunk', 4096]];
/** A model with a KV cache. The cache is made at the first use, or by ready(). */
export class Transformer {
    model;
    options;
    made;
    disposed = false;
    constructor(device, model, options = {}) {
        this.model = model;
        this.options = options;
        if (device !== model.device)
            throw new LlamaError('invalid-argument', 'The model is on another device.');
        if (options.kernelSet !== undefined && options.kernelSet !== model.format) {
            throw new LlamaError('invalid-argument', `The model is ${model.format}: its kernels are not those of ${options.kernelSet}.`);
        }
        for (const [name, most] of limits) {
            const n = options[name];
            if (n !== undefined && !(Number.isInteger(n) && n > 0 && n <= most)) {
                throw new LlamaError('invalid-argument', `${name} is ${n}: want a whole number from 1 to ${most}`);
            }
        }
        if (![undefined, 16, 32].includes(options.kvBits))
            throw new LlamaError('invalid-argument', `kvBits is ${options.kvBits}: want 16 or 32`);
    }
    /** Allocates what is needed, if that has not been done. */
    async ready() {
        await this.go();
    }
    go() {
        if (this.disposed)
            throw new LlamaError('disposed', 'The transformer has been disposed of.');
        if (!this.made) {
            this.made = this.model.runtime.wait(this.model.go.transformer(this.options));
            this.made.catch(() => { this.made = undefined; }); // the next call tries again
        }
        return this.made;
    }
    /**
     * The logits after the last token. `tokens` is the whole sequence: what it has in common with what is in the KV
     * cache is not computed again.
     */
    async forward(tokens, options = {}) {
        try {
            return await this.model.runtime.wait((await this.go()).forward(Int32Array.from(tokens), options));
        }
        catch (e) {
            throw asError(e);
        }
    }
    /** Begins to generate; the caller asks for one token after the other, and stops at last. */
    async generate(tokens, options = {}) {
        const go = await this.go();
        return unwrap(go.generate(Int32Array.from(tokens), { ...options, maxTokens: options.maxTokens ?? 256 }));
    }
    /** Forgets the sequence that was used last. */
    async reset() {
        (await this.go()).reset();
    }
    /** Gives the memory on the GPU back. */
    async dispose() {
        if (this.disposed)
            return;
        this.disposed = true;
        const go = await this.made?.catch(() => undefined);
        if (!this.model.isDisposed)
            await go?.close(); // else it went with the model
    }
}
