import { url as urlOf } from './arguments.js';

/** Where a model is cached between visits, or why it is not. */
export interface CacheReport {
  where: 'opfs' | 'cache-api' | 'none';
  /** For people: why the model is not cached. */
  reason?: string;
}

/** A cached model. */
export interface CachedModel {
  url: string; // of its manifest
  bytes: number;
}

/** The cached files of one model. */
export interface Store {
  readonly where: 'opfs' | 'cache-api';
  get(name: string): Promise<Uint8Array | undefined>;
  /** Stores bytes. If that fails, the store stops storing, and `broken` says why. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  clear(): Promise<void>;
  broken?: string;
}

const folder = 'llama-webgpu';

/** Opens the store of a model, or returns why there is none. */
export async function openStore(manifestUrl: string): Promise<Store | string> {
  const key = await keyOf(manifestUrl);
  try {
    const root = await navigator.storage.getDirectory();
    if (!canWriteFiles()) throw new Error('no way to write files in this context');
    const dir = await (await root.getDirectoryHandle(folder, { create: true })).getDirectoryHandle(key, {
      create: true,
    });
    return new FileStore(dir);
  } catch {
    // in private windows, and in Safari outside of Workers
  }
  try {
    return new ResponseStore(await caches.open(`${folder}/${key}`), manifestUrl);
  } catch (e) {
    return `The browser gives this page no storage (${(e as Error).message}).`;
  }
}

function canWriteFiles(): boolean {
  const p = globalThis.FileSystemFileHandle?.prototype;
  return p !== undefined && ('createWritable' in p || 'createSyncAccessHandle' in p);
}

async function keyOf(url: string): Promise<string> {
  const sum = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url));
  return Array.from(new Uint8Array(sum, 0, 16), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** How many more bytes the browser lets the page store; Infinity if it does not say. */
export async function freeBytes(): Promise<number> {
  const e = await globalThis.navigator?.storage?.estimate?.().catch(() => undefined);
  return e?.quota === undefined ? Infinity : e.quota - (e.usage ?? 0);
}

interface SyncHandle {
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

/** Stores a model in a directory of the origin private file system. */
class FileStore implements Store {
  readonly where = 'opfs';
  broken?: string;

  constructor(private readonly dir: FileSystemDirectoryHandle) {}

  async get(name: string): Promise<Uint8Array | undefined> {
    try {
      const file = await (await this.dir.getFileHandle(name)).getFile();
      return new Uint8Array(await file.arrayBuffer());
    } catch {
      return undefined;
    }
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (this.broken) return;
    try {
      await this.write(await this.dir.getFileHandle(name, { create: true }), bytes);
    } catch (e) {
      this.broken = `Writing to the browser's storage failed: ${(e as Error).message}`;
      await this.dir.removeEntry(name).catch(() => {});
    }
  }

  private async write(file: FileSystemFileHandle, bytes: Uint8Array): Promise<void> {
    if ('createWritable' in file) {
      const w = await file.createWritable();
      await w.write(bytes as Uint8Array<ArrayBuffer>);
      await w.close();
      return;
    }
    const h = await (file as unknown as { createSyncAccessHandle(): Promise<SyncHandle> }).createSyncAccessHandle();
    try {
      h.truncate(0);
      h.write(bytes, { at: 0 });
      h.flush();
    } finally {
      h.close();
    }
  }

  async clear(): Promise<void> {
    for await (const name of this.dir.keys()) await this.dir.removeEntry(name);
  }
}

/** Stores a model as responses in the Cache API. */
class ResponseStore implements Store {
  readonly where = 'cache-api';
  broken?: string;

  constructor(
    private readonly cache: Cache,
    private readonly manifestUrl: string,
  ) {}

  private url(name: string): string {
    const u = new URL(this.manifestUrl);
    u.searchParams.set(folder, name);
    return u.href;
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const r = await this.cache.match(this.url(name));
    return r && new Uint8Array(await r.arrayBuffer());
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (this.broken) return;
    try {
      await this.cache.put(this.url(name), new Response(bytes as Uint8Array<ArrayBuffer>));
    } catch (e) {
      this.broken = `Writing to the browser's storage failed: ${(e as Error).message}`;
    }
  }

  async clear(): Promise<void> {
    for (const request of await this.cache.keys()) await this.cache.delete(request);
  }
}

/** Lists the cached models. */
export async function cachedModels(): Promise<CachedModel[]> {
  const found: CachedModel[] = [];
  const add = async (meta: () => Promise<string>) => {
    try {
      const m = JSON.parse(await meta()) as { url: string; bytes: number };
      found.push({ url: m.url, bytes: m.bytes });
    } catch {
      // without meta.json, nothing was ever stored
    }
  };
  try {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(folder);
    for await (const dir of root.values()) {
      if (dir.kind === 'directory') {
        await add(async () =>
          (await (await (dir as FileSystemDirectoryHandle).getFileHandle('meta.json')).getFile()).text(),
        );
      }
    }
  } catch {
    // none
  }
  for (const name of (await globalThis.caches?.keys().catch(() => [])) ?? []) {
    if (!name.startsWith(`${folder}/`)) continue;
    const cache = await caches.open(name);
    const request = (await cache.keys()).find((r) => new URL(r.url).searchParams.get(folder) === 'meta.json');
    if (request) await add(async () => (await cache.match(request))!.text());
  }
  return found;
}

/** Deletes a model from the cache; without a URL, all models. */
export async function deleteCached(url?: string | URL): Promise<void> {
  const key = url === undefined ? undefined : await keyOf(manifestOf(url));
  try {
    const root = await navigator.storage.getDirectory();
    if (key === undefined) await root.removeEntry(folder, { recursive: true });
    else await (await root.getDirectoryHandle(folder)).removeEntry(key, { recursive: true });
  } catch {
    // it was not there
  }
  for (const name of (await globalThis.caches?.keys().catch(() => [])) ?? []) {
    if (key === undefined ? name.startsWith(`${folder}/`) : name === `${folder}/${key}`) await caches.delete(name);
  }
}

/** The URL of a bundle's manifest, given that URL itself or that of its directory. */
export function manifestOf(url: string | URL): string {
  const u = urlOf('the address of the bundle', url);
  if (!u.pathname.endsWith('.json')) u.pathname = `${u.pathname.replace(/\/$/, '')}/manifest.json`;
  return u.href;
}
