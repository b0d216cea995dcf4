// Which models there are, and the one that answers. A model is replaced only by one that has been loaded.
import { cachedModels, deleteCached } from '../../src/cache.js';
import type { LoadProgress, Stats, TextModel } from '../../src/index.js';
import type { Engine } from '../engine/engine.js';
import { LocalEngine } from '../engine/local.js';
import { KeyError, openServer, serverModels, unreachable } from '../engine/server.js';
import { runtime } from '../lazy.js';
import type { Adapter } from '../lib/gpu.js';
import { aborted } from '../lib/notices.js';
import { recall, remember } from '../lib/storage.js';
import { addressOf, advice } from './address.js';
import { type Manifest, readManifest } from './card.js';

/** A bundle that the server has. */
export interface Listed {
  name: string;
  title: string;
  bytes: number;
  format?: string;
}

/** What to load, and where it is to run. */
export type Choice =
  | { where: 'gpu'; name: string; url: string }
  | { where: 'gpu'; name: string; files: File[] }
  | { where: 'server'; name: string };

export interface Loading {
  choice: Choice;
  progress: LoadProgress | undefined;
  ender: AbortController;
}

/** The URL of the manifest of a bundle that the server has. */
export function urlOf(name: string): string {
  return new URL(`models/${name}/manifest.json`, location.href).href;
}

const remembered = 'llama-webgpu-model';

/** Tells of changes: `list`, `loading` (progress, too) and `engine`. */
export class Models extends EventTarget {
  listed: Listed[] = [];
  /** Models that the server runs; undefined: it runs none. */
  running: string[] | undefined;
  wantsKey = false;
  /** Whether the server computes logits to compare with. */
  reference = false;
  adapter: Adapter = { there: false, text: '' };
  cached = new Set<string>(); // URLs of manifests
  loading: Loading | undefined;

  engine: Engine | undefined;
  choice: Choice | undefined;
  manifest: Manifest | undefined;
  stats: Stats | undefined; // of the local model, when it was loaded

  get local(): TextModel | undefined {
    return this.engine instanceof LocalEngine ? this.engine.model : undefined;
  }

  private tell(what: 'list' | 'loading' | 'engine'): void {
    this.dispatchEvent(new Event(what));
  }

  /** Asks the server anew what it has. */
  async refresh(): Promise<void> {
    const response = await fetch('models.json').catch(() => undefined);
    if (response?.ok) {
      const list = (await response.json().catch(() => ({}))) as { models?: Listed[] | null; reference?: boolean };
      this.listed = list.models ?? [];
      this.reference = list.reference === true;
    }
    try {
      this.running = await serverModels();
      this.wantsKey = false;
    } catch (e) {
      this.wantsKey = e instanceof KeyError;
    }
    this.cached = new Set((await cachedModels().catch(() => [])).map((m) => m.url));
    this.tell('list');
  }

  /** Removes a model from the browser's cache. */
  async forget(url: string): Promise<void> {
    await deleteCached(url);
    await this.refresh();
  }

  /** What was used at the last visit, if it needs no download. */
  last(): Choice | undefined {
    try {
      const c = JSON.parse(recall(remembered) ?? 'null') as Choice | null;
      if (c?.where === 'server') return this.running?.includes(c.name) ? c : undefined;
      return c && 'url' in c && this.adapter.there && this.cached.has(c.url) ? c : undefined;
    } catch {
      return undefined;
    }
  }

  /** The choice for a model of the server's: where the last one ran, or else where it needs no download. */
  named(name: string): Choice | undefined {
    const here: Choice = { where: 'gpu', name, url: urlOf(name) };
    const there: Choice = { where: 'server', name };
    const onServer = this.running?.includes(name);
    const onGPU = this.adapter.there && this.listed.some((m) => m.name === name);
    if (onServer && onGPU) return this.last()?.where === 'gpu' || this.cached.has(here.url) ? here : there;
    return onServer ? there : onGPU ? here : undefined;
  }

  /** Loads a model in place of the one that there is, which stays if that fails. An error says what to do. */
  async load(choice: Choice): Promise<void> {
    this.loading?.ender.abort();
    const ender = new AbortController();
    const loading: Loading = { choice, progress: undefined, ender };
    this.loading = loading;
    this.tell('loading');
    try {
      const [engine, manifest, stats] =
        choice.where === 'server' ? await this.onServer(choice, ender.signal) : await this.onGPU(choice, loading);
      if (ender.signal.aborted) {
        if (engine instanceof LocalEngine) await engine.model.dispose();
        return;
      }
      await this.use(engine, choice, manifest, stats);
    } finally {
      if (this.loading === loading) {
        this.loading = undefined;
        this.tell('loading');
      }
    }
  }

  private async use(
    engine: Engine,
    choice: Choice,
    manifest: Manifest | undefined,
    stats: Stats | undefined,
  ): Promise<void> {
    const old = this.local;
    Object.assign(this, { engine, choice, manifest, stats });
    this.tell('engine');
    if (!('files' in choice)) remember(remembered, JSON.stringify(choice));
    await old?.dispose();
  }

  private async onServer(choice: Choice, signal: AbortSignal): Promise<[Engine, Manifest | undefined, undefined]> {
    const [engine, manifest] = await Promise.all([
      openServer(choice.name, signal),
      readManifest(urlOf(choice.name)).catch(() => undefined), // the card has less to show
    ]);
    return [engine, manifest, undefined];
  }

  private async onGPU(
    choice: Choice & { where: 'gpu' },
    loading: Loading,
  ): Promise<[Engine, Manifest | undefined, Stats]> {
    const source = 'files' in choice ? choice.files : choice.url;
    const onProgress = (p: LoadProgress) => {
      loading.progress = p;
      if (this.loading === loading) this.tell('loading');
    };
    try {
      const { load } = await runtime();
      const model = await load(source, { signal: loading.ender.signal, onProgress });
      const stats = await model.stats();
      const manifest = await readManifest('files' in choice ? choice.files : choice.url).catch(() => undefined);
      return [new LocalEngine(choice.name, model, stats.contextTokens), manifest, stats];
    } catch (e) {
      const { code, message } = e as { code?: string; message?: string };
      if (!aborted(e) && (code === undefined || code === 'not-found' || code === 'network')) await reached();
      if (aborted(e) || 'files' in choice) throw e;
      throw Object.assign(new Error(`${message}${advice(choice.url, code ?? '', location.href)}`), { code });
    }
  }

  /** Gives up the model that there is. */
  async unload(): Promise<void> {
    const old = this.local;
    Object.assign(this, { engine: undefined, choice: undefined, manifest: undefined, stats: undefined });
    this.tell('engine');
    await old?.dispose();
  }
}

/** Throws if the server that the page comes from is gone: the runtime, which comes from there, says then that its files are missing. */
async function reached(): Promise<void> {
  await fetch('models.json', { method: 'HEAD', cache: 'no-store' }).catch(() => {
    throw unreachable();
  });
}

/** The choice that an address stands for. */
export function byAddress(text: string): Choice {
  const url = new URL(addressOf(text, location.href));
  if (!url.pathname.endsWith('.json')) url.pathname = `${url.pathname.replace(/\/$/, '')}/manifest.json`;
  const parts = url.pathname.split('/').filter(Boolean);
  return { where: 'gpu', name: decodeURIComponent(parts.at(-2) ?? url.host), url: url.href };
}

/** The choice that the files of a folder stand for. */
export function byFolder(files: File[]): Choice {
  const first = files[0]?.webkitRelativePath.split('/')[0];
  return { where: 'gpu', name: first || 'a folder', files };
}
