import { unlessAborted } from './abort.js';
import { checked, invalid, onAbort, options as optionsOf } from './arguments.js';
import { type CacheReport, freeBytes, manifestOf, openStore, type Store } from './cache.js';
import { Callback, forCaller } from './callback.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import { type Fetch, Line } from './exchange.js';
import { type Manifest, Model } from './model.js';
import { loadOptions } from './options.js';
import { runtimeOf } from './runtime.js';
import { keptTuning } from './tuning.js';
import type { WasmSource } from './wasm.js';
import { blockBytes, fetchSmall, WireFile, type WireOptions } from './wire.js';

export { type CachedModel, type CacheReport, cachedModels, deleteCached } from './cache.js';
export { type Manifest, Model, Tokenizer } from './model.js';

/** How far loading has come. */
export interface LoadProgress {
  /** Bytes of the weights that are on the GPU, out of `total`. */
  loaded: number;
  total: number;
  /** Bytes that came over the network: more than `loaded` while loading, 0 if the model was cached. */
  received: number;
  /** Bytes per second over the last three seconds. */
  rate: number;
}

export interface LoadModelOptions {
  manifestUrl: string | URL;
  /** model.wgpu, or the directory of its parts. Default: next to the manifest. */
  weightUrl?: string | URL;
  /** vocab.json. Default: next to the manifest. */
  vocabUrl?: string | URL;
  onProgress?: (progress: LoadProgress) => void;
  /**
   * Called when something works, but probably not as intended: a context that is longer than what the model was
   * trained for. Default: console.warn.
   */
  onWarning?: (message: string) => void;
  signal?: AbortSignal;
  /** Whether to cache the model in the browser's storage. Default: true; Node has no such storage. */
  cache?: boolean;
  /** Requests in flight. Default: 4. */
  concurrency?: number;
  /** Replaces fetch. */
  fetch?: Fetch;
  /** The WebAssembly. Default: llama-webgpu.wasm next to this file. */
  wasm?: WasmSource;
  /**
   * Which kernels multiply matrices. Default: those that a trial on this device finds right and fastest. `baseline`
   * runs on every device; the others need the feature they are named after, and fail to load without it.
   */
  kernels?: 'auto' | 'baseline' | 'subgroups' | 'dot4' | 'f16' | 'matrix';
  /** Whether to use what benchmark() has found out about this device. Default: true. */
  tuning?: boolean;
}

/** Loads a bundle from a server onto the GPU. */
export async function loadModel(device: GPUDevice, options: LoadModelOptions): Promise<Model> {
  try {
    const [copy, url] = checked(() => [loadOptions(optionsOf(options)), manifestOf(options.manifestUrl)] as const);
    return await open(device, { ...copy, manifestUrl: url });
  } catch (e) {
    throw forCaller(e);
  }
}

/**
 * Loads a bundle, with options as loadOptions copies them. What onProgress throws comes as a CallbackError.
 * @internal
 */
export async function open(device: GPUDevice, o: LoadModelOptions): Promise<Model> {
  if (typeof (device as Partial<GPUDevice> | undefined)?.createBuffer !== 'function')
    throw invalid('device: want a GPUDevice');
  throwIfAborted(o.signal);
  const ender = new AbortController();
  const settled = onAbort(o.signal, () => ender.abort(o.signal?.reason));
  const report = new Callback(o.onProgress, () => ender.abort());
  const warn = warner(o.onWarning);
  const inner: Inner = { ...o, signal: ender.signal, report, warn };
  try {
    const first = await new Loading(device, inner).run().catch((e: unknown) => e);
    if (first instanceof Model) return first;
    if (!(first instanceof DamagedCache)) throw first;
    return await new Loading(device, { ...inner, cache: false }).run(first.reason);
  } catch (e) {
    throw report.failure ?? asError(e);
  } finally {
    settled();
  }
}

/** What warnings are passed to. If onWarning throws, so does it, a CallbackError. */
function warner(onWarning: ((message: string) => void) | undefined): (message: string) => void {
  if (!onWarning) return (message) => console.warn(`llama-webgpu: ${message}`);
  return (message) => {
    const once = new Callback(onWarning);
    once.call(message);
    once.throwIfFailed();
  };
}

/** The options of one attempt: its signal also aborts when the caller's onProgress has failed. */
interface Inner extends LoadModelOptions {
  report: Callback<LoadProgress>;
  warn: (message: string) => void;
}

/** The cached copy was damaged, and has been deleted. */
class DamagedCache {
  constructor(readonly reason: string) {}
}

/** One attempt at loading. */
class Loading {
  private readonly manifestUrl: string;
  private readonly wire: WireOptions;
  private received = 0; // bytes over the network
  private loaded = 0; // bytes on the GPU
  private total = 0;
  private reported = 0; // when, in ms
  private readonly speed = new Speed();

  constructor(
    private readonly device: GPUDevice,
    private readonly o: Inner,
  ) {
    this.manifestUrl = manifestOf(o.manifestUrl);
    this.wire = {
      fetch: o.fetch ?? ((url, init) => fetch(url, init)),
      signal: o.signal,
      line: new Line(),
      concurrency: Math.max(1, o.concurrency ?? 4),
      received: (n) => {
        this.received += n;
        this.progress(this.loaded);
      },
    };
  }

  async run(whyNotCached?: string): Promise<Model> {
    const runtime = runtimeOf(this.device, this.o.wasm);
    runtime.catch(() => {}); // awaited below, unless something else fails first
    const opened: Store | string =
      (this.o.cache ?? hasStorage()) ? await openStore(this.manifestUrl) : (whyNotCached ?? 'Caching is turned off.');
    const store = typeof opened === 'string' ? undefined : opened;
    const text = await this.manifest(store);
    const manifest = parse(this.manifestUrl, text);
    const total = manifest.files.reduce((n, f) => n + f.size, 0);
    this.total = total;
    const report = await this.prepare(store, opened, manifest, text, total);
    this.wire.store = report.where === 'none' ? undefined : store;

    const files = manifest.files.map(
      (f, i) => new WireFile(this.weightUrl(manifest, f.name), f.size, `block-${i}`, this.wire),
    );
    const vocab = manifest.tokenizer.size ? await this.vocab(manifest) : null;
    const rt = await unlessAborted(this.o.signal, runtime);
    const tuning = (this.o.tuning ?? true) ? await keptTuning(this.device, rt.info) : null;
    try {
      const go = await rt.waitUnlessAborted(this.o.signal, (onStart) =>
        rt.api.load({
          manifest: text,
          vocab,
          files: files.map((f) => (offset, length) => f.read(offset, length)),
          progress: (loaded) => this.progress(loaded),
          kernels: this.o.kernels ?? 'auto',
          tuning,
          onStart,
        }),
      );
      this.progress(total, true);
      if (this.o.signal?.aborted) {
        await go.close();
        throwIfAborted(this.o.signal);
      }
      if (store?.broken) Object.assign(report, { where: 'none', reason: store.broken });
      return new Model(
        this.device,
        manifest,
        report,
        files.some((f) => f.fromStore),
        rt,
        go,
        this.o.warn,
      );
    } catch (e) {
      if (!store || asError(e).code !== 'corrupt') throw e;
      await store.clear();
      if (!files.some((f) => f.fromStore) && !this.vocabFromStore) throw e;
      throw new DamagedCache(`The cached copy was damaged (${asError(e).message}), so the model was downloaded again.`);
    }
  }

  private vocabFromStore = false;

  /** The manifest: from the server, or the cached one if the server cannot be reached. */
  private async manifest(store: Store | undefined): Promise<Uint8Array> {
    const kept = await store?.get('manifest.json');
    try {
      return await fetchSmall(this.manifestUrl, this.wire, kept ? 2 : 3);
    } catch (e) {
      if (!kept || asError(e).code !== 'network') throw e;
      return kept;
    }
  }

  /** Makes room in the store, or says why the model will not be cached. */
  private async prepare(
    store: Store | undefined,
    opened: Store | string,
    m: Manifest,
    text: Uint8Array,
    total: number,
  ): Promise<CacheReport> {
    if (!store) return { where: 'none', reason: opened as string };
    const meta = new TextEncoder().encode(JSON.stringify({ url: this.manifestUrl, id: m.id, bytes: total }));
    const old = await store.get('meta.json');
    const same = old !== undefined && new TextDecoder().decode(old) === new TextDecoder().decode(meta);
    if (!same) {
      await store.clear();
      const free = await freeBytes();
      if (total + blockBytes > free) {
        return {
          where: 'none',
          reason: `The model takes ${size(total)}, but the browser lets this page store only ${size(free)} more: it will be downloaded again next time.`,
        };
      }
      await store.put('meta.json', meta);
    }
    await store.put('manifest.json', text);
    return store.broken ? { where: 'none', reason: store.broken } : { where: store.where };
  }

  private async vocab(m: Manifest): Promise<Uint8Array> {
    const name = `vocab-${m.tokenizer.sha256}`;
    const kept = await this.wire.store?.get(name);
    if (kept) {
      this.vocabFromStore = true;
      return kept;
    }
    const bytes = await fetchSmall(String(this.o.vocabUrl ?? new URL('vocab.json', this.manifestUrl)), this.wire);
    await this.wire.store?.put(name, bytes);
    return bytes;
  }

  private weightUrl(m: Manifest, name: string): string {
    if (this.o.weightUrl === undefined) return new URL(name, this.manifestUrl).href;
    const given = new URL(this.o.weightUrl, globalThis.location?.href ?? this.manifestUrl);
    return m.files.length === 1 ? given.href : new URL(name, given).href;
  }

  /** Reports progress, but not more often than a page can draw it. */
  private progress(loaded: number, last = false): void {
    this.loaded = loaded;
    const now = performance.now();
    if (!this.o.onProgress || this.total === 0 || (now - this.reported < 30 && !last)) return;
    this.reported = now;
    const rate = this.speed.at(Math.max(loaded, Math.min(this.received, this.total)));
    this.o.report.call({ loaded, total: this.total, received: this.received, rate });
  }
}

/** Bytes per second over the last three seconds. */
class Speed {
  private readonly seen: { t: number; n: number }[] = [{ t: performance.now(), n: 0 }];

  at(n: number): number {
    const t = performance.now();
    this.seen.push({ t, n });
    while (this.seen.length > 2 && t - this.seen[1]!.t > 3000) this.seen.shift();
    const old = this.seen[0]!;
    return t > old.t ? (1000 * (n - old.n)) / (t - old.t) : 0;
  }
}

function hasStorage(): boolean {
  return globalThis.navigator?.storage !== undefined;
}

function size(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Checks what JavaScript needs of a manifest, before Go checks all of it. */
function parse(url: string, text: Uint8Array): Manifest {
  let m: Partial<Manifest>;
  try {
    m = JSON.parse(new TextDecoder().decode(text)) as Partial<Manifest>;
  } catch (e) {
    throw new LlamaError('corrupt', `${url}: ${(e as Error).message}`, { cause: e });
  }
  const files = m.files;
  if (!Array.isArray(files) || !files.every((f) => typeof f.name === 'string' && Number.isSafeInteger(f.size))) {
    throw new LlamaError('corrupt', `${url}: this is not the manifest of a bundle: it lists no files`);
  }
  return m as Manifest;
}
