import { openStore, freeBytes, manifestOf } from './cache.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import { runtimeOf, unwrap } from './runtime.js';
import { blockBytes, fetchSmall, WireFile } from './wire.js';
export { cachedModels, deleteCached } from './cache.js';
/** Text to token ids and back. */
export class Tokenizer {
    go;
    constructor(go) {
        this.go = go;
    }
    /** The ids of a text, led by the token for its beginning where the model wants one. */
    encode(text, options = {}) {
        return this.go.encode(text, options.special ?? true);
    }
    /** The text of ids, without special tokens unless they are asked for. */
    decode(ids, options = {}) {
        return this.go.decode(Int32Array.from(ids), !options.special);
    }
    /** A token as the vocabulary spells it. */
    token(id) {
        return this.go.token(id) ?? undefined;
    }
}
/** A model whose weights are on a GPU. Transformers compute with it. */
export class Model {
    device;
    manifest;
    cache;
    fromCache;
    runtime;
    goModel;
    disposed = false;
    /** @internal */
    constructor(device, manifest, 
    /** Whether and where the model is kept for the next visit. */
    cache, 
    /** Whether it was read from there. */
    fromCache, 
    /** @internal */
    runtime, goModel) {
        this.device = device;
        this.manifest = manifest;
        this.cache = cache;
        this.fromCache = fromCache;
        this.runtime = runtime;
        this.goModel = goModel;
    }
    /** @internal */
    get go() {
        if (this.disposed)
            throw new LlamaError('disposed', 'The model has been disposed of.');
        return this.goModel;
    }
    /** @internal */
    get isDisposed() {
        return this.disposed;
    }
    get tokenizer() {
        if (!this.go.hasTokenizer)
            throw new LlamaError('invalid-argument', 'The bundle has no tokenizer.');
        return new Tokenizer(this.go);
    }
    /** How most of its matrices are stored: int8, int4, int2 or f16. */
    get format() {
        return this.manifest.quantization.format;
    }
    /** Bytes on the GPU by purpose, of all that runs on this device. */
    memory() {
        return this.runtime.api.memory().memory;
    }
    /** How the kernels did that were tried on this device. */
    kernels() {
        return this.go.kernels();
    }
    /** Gives the memory on the GPU back, that of its Transformers too. */
    async dispose() {
        if (this.disposed)
            return;
        this.disposed = true;
        await this.goModel.close();
    }
}
/** Brings a bundle from a server to the GPU. */
export async function loadModel(device, options) {
    try {
        throwIfAborted(options.signal);
        const first = await new Loading(device, options).run().catch((e) => e);
        if (first instanceof Model)
            return first;
        if (!(first instanceof KeptDamage))
            throw first;
        return await new Loading(device, { ...options, cache: false }).run(first.reason);
    }
    catch (e) {
        throw asError(e);
    }
}
/** What was kept is damaged, and has been removed. */
class KeptDamage {
    reason;
    constructor(reason) {
        this.reason = reason;
    }
}
/** One attempt at loading. */
class Loading {
    device;
    o;
    manifestUrl;
    wire;
    received = 0; // bytes over the network
    loaded = 0; // bytes on the GPU
    total = 0;
    told = 0; // when, in ms
    speed = new Speed();
    constructor(device, o) {
        this.device = device;
        this.o = o;
        this.manifestUrl = manifestOf(o.manifestUrl);
        this.wire = {
            fetch: o.fetch ?? ((url, init) => fetch(url, init)),
            signal: o.signal,
            concurrency: Math.max(1, o.concurrency ?? 4),
            received: (n) => {
                this.received += n;
                this.progress(this.loaded);
            },
        };
    }
    async run(whyNotKept) {
        const runtime = runtimeOf(this.device, this.o.wasm);
        runtime.catch(() => { }); // it is waited for below, if nothing else fails before
        const opened = this.o.cache ?? hasStorage() ? await openStore(this.manifestUrl) : whyNotKept ?? 'It was not asked for.';
        const store = typeof opened === 'string' ? undefined : opened;
        const text = await this.manifest(store);
        const manifest = parse(this.manifestUrl, text);
        const total = manifest.files.reduce((n, f) => n + f.size, 0);
        this.total = total;
        const report = await this.prepare(store, opened, manifest, text, total);
        this.wire.store = report.where === 'none' ? undefined : store;
        const files = manifest.files.map((f, i) => new WireFile(this.weightUrl(manifest, f.name), f.size, `block-${i}`, this.wire));
        const vocab = manifest.tokenizer.size ? await this.vocab(manifest) : null;
        const rt = await runtime;
        try {
            const go = unwrap(await rt.wait(rt.api.load({
                manifest: text, vocab,
                files: files.map((f) => (offset, length) => f.read(offset, length)),
                progress: (loaded) => this.progress(loaded), kernels: this.o.kernels ?? 'auto',
            })));
            this.progress(total, true);
            if (this.o.signal?.aborted) {
                await go.close();
                throwIfAborted(this.o.signal);
            }
            if (store?.broken)
                Object.assign(report, { where: 'none', reason: store.broken });
            return new Model(this.device, manifest, report, files.some((f) => f.fromStore), rt, go);
        }
        catch (e) {
            const kept = store && (files.some((f) => f.fromStore) || this.keptVocab);
            if (!kept || asError(e).code !== 'corrupt')
                throw e;
            await store.clear();
            throw new KeptDamage(`What was kept was damaged (${asError(e).message}), so it was loaded anew.`);
        }
    }
    keptVocab = false;
    /** The manifest: from the server, or the one that is kept if the server cannot be reached. */
    async manifest(store) {
        try {
            return await fetchSmall(this.manifestUrl, this.wire);
        }
        catch (e) {
            const kept = asError(e).code === 'network' ? await store?.get('manifest.json') : undefined;
            if (!kept)
                throw e;
            return kept;
        }
    }
    /** Makes room in the store, or says why the model will not be kept. */
    async prepare(store, opened, m, text, total) {
        if (!store)
            return { where: 'none', reason: opened };
        const meta = new TextEncoder().encode(JSON.stringify({ url: this.manifestUrl, id: m.id, bytes: total }));
        const old = await store.get('meta.json');
        const same = old !== undefined && new TextDecoder().decode(old) === new TextDecoder().decode(meta);
        if (!same) {
            await store.clear();
            const free = await freeBytes();
            if (total + blockBytes > free) {
                return { where: 'none', reason: `The model takes ${size(total)}, the browser lets this page keep ${size(free)} more: it will be loaded again next time.` };
            }
            await store.put('meta.json', meta);
        }
        await store.put('manifest.json', text);
        return store.broken ? { where: 'none', reason: store.broken } : { where: store.where };
    }
    async vocab(m) {
        const name = `vocab-${m.tokenizer.sha256}`;
        const kept = await this.wire.store?.get(name);
        if (kept) {
            this.keptVocab = true;
            return kept;
        }
        const bytes = await fetchSmall(String(this.o.vocabUrl ?? new URL('vocab.json', this.manifestUrl)), this.wire);
        await this.wire.store?.put(name, bytes);
        return bytes;
    }
    weightUrl(m, name) {
        if (this.o.weightUrl === undefined)
            return new URL(name, this.manifestUrl).href;
        const given = new URL(this.o.weightUrl, globalThis.location?.href ?? this.manifestUrl);
        return m.files.length === 1 ? given.href : new URL(name, given).href;
    }
    /** Tells how far it is, but not more often than a page can draw. */
    progress(loaded, last = false) {
        this.loaded = loaded;
        const now = performance.now();
        if (!this.o.onProgress || this.total === 0 || (now - this.told < 30 && !last))
            return;
        this.told = now;
        const rate = this.speed.at(Math.max(loaded, Math.min(this.received, this.total)));
        this.o.onProgress({ loaded, total: this.total, received: this.received, rate });
    }
}
/** Bytes per second over the last three seconds. */
class Speed {
    seen = [{ t: performance.now(), n: 0 }];
    at(n) {
        const t = performance.now();
        this.seen.push({ t, n });
        while (this.seen.length > 2 && t - this.seen[1].t > 3000)
            this.seen.shift();
        const old = this.seen[0];
        return t > old.t ? (1000 * (n - old.n)) / (t - old.t) : 0;
    }
}
function hasStorage() {
    return globalThis.navigator?.storage !== undefined;
}
function size(bytes) {
    return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
/** What is needed of a manifest before Go has checked it. */
function parse(url, text) {
    let m;
    try {
        m = JSON.parse(new TextDecoder().decode(text));
    }
    catch (e) {
        throw new LlamaError('corrupt', `${url}: ${e.message}`, { cause: e });
    }
    const files = m.files;
    if (!Array.isArray(files) || !files.every((f) => typeof f.name === 'string' && Number.isSafeInteger(f.size))) {
        throw new LlamaError('corrupt', `${url}: this is no manifest of a bundle: it lists no files`);
    }
    return m;
}
