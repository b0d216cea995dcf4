const folder = 'llama-webgpu';
/** Opens the store of a model, or says why there is none. */
export async function openStore(manifestUrl) {
    const key = await keyOf(manifestUrl);
    try {
        const root = await navigator.storage.getDirectory();
        if (!canWriteFiles())
            throw new Error('no way to write files from here');
        const dir = await (await root.getDirectoryHandle(folder, { create: true })).getDirectoryHandle(key, { create: true });
        return new FileStore(dir);
    }
    catch {
        // private windows, and Safari outside of a Worker
    }
    try {
        return new ResponseStore(await caches.open(`${folder}/${key}`), manifestUrl);
    }
    catch (e) {
        return `This browser gives the page no storage (${e.message}).`;
    }
}
function canWriteFiles() {
    const p = globalThis.FileSystemFileHandle?.prototype;
    return p !== undefined && ('createWritable' in p || 'createSyncAccessHandle' in p);
}
async function keyOf(url) {
    const sum = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url));
    return Array.from(new Uint8Array(sum, 0, 16), (b) => b.toString(16).padStart(2, '0')).join('');
}
/** How many bytes more the browser lets the page keep; Infinity if it does not say. */
export async function freeBytes() {
    const e = await globalThis.navigator?.storage?.estimate?.().catch(() => undefined);
    return e?.quota === undefined ? Infinity : e.quota - (e.usage ?? 0);
}
/** Keeps a model in a directory of the origin's private file system. */
class FileStore {
    dir;
    where = 'opfs';
    broken;
    constructor(dir) {
        this.dir = dir;
    }
    async get(name) {
        try {
            const file = await (await this.dir.getFileHandle(name)).getFile();
            return new Uint8Array(await file.arrayBuffer());
        }
        catch {
            return undefined;
        }
    }
    async put(name, bytes) {
        if (this.broken)
            return;
        try {
            await this.write(await this.dir.getFileHandle(name, { create: true }), bytes);
        }
        catch (e) {
            this.broken = `Writing to the browser's storage failed: ${e.message}`;
            await this.dir.removeEntry(name).catch(() => { });
        }
    }
    async write(file, bytes) {
        if ('createWritable' in file) {
            const w = await file.createWritable();
            await w.write(bytes);
            await w.close();
            return;
        }
        const h = await file.createSyncAccessHandle();
        try {
            h.truncate(0);
            h.write(bytes, { at: 0 });
            h.flush();
        }
        finally {
            h.close();
        }
    }
    async clear() {
        for await (const name of this.dir.keys())
            await this.dir.removeEntry(name);
    }
}
/** Keeps a model as responses in the Cache API. */
class ResponseStore {
    cache;
    manifestUrl;
    where = 'cache-api';
    broken;
    constructor(cache, manifestUrl) {
        this.cache = cache;
        this.manifestUrl = manifestUrl;
    }
    url(name) {
        const u = new URL(this.manifestUrl);
        u.searchParams.set(folder, name);
        return u.href;
    }
    async get(name) {
        const r = await this.cache.match(this.url(name));
        return r && new Uint8Array(await r.arrayBuffer());
    }
    async put(name, bytes) {
        if (this.broken)
            return;
        try {
            await this.cache.put(this.url(name), new Response(bytes));
        }
        catch (e) {
            this.broken = `Writing to the browser's storage failed: ${e.message}`;
        }
    }
    async clear() {
        for (const request of await this.cache.keys())
            await this.cache.delete(request);
    }
}
/** Lists the models that are kept. */
export async function cachedModels() {
    const found = [];
    const add = async (meta) => {
        try {
            const m = JSON.parse(await meta());
            found.push({ url: m.url, bytes: m.bytes });
        }
        catch {
            // what has no meta.json was never begun
        }
    };
    try {
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(folder);
        for await (const dir of root.values()) {
            if (dir.kind === 'directory') {
                await add(async () => (await (await dir.getFileHandle('meta.json')).getFile()).text());
            }
        }
    }
    catch {
        // none
    }
    for (const name of await globalThis.caches?.keys().catch(() => []) ?? []) {
        if (!name.startsWith(`${folder}/`))
            continue;
        const cache = await caches.open(name);
        const request = (await cache.keys()).find((r) => new URL(r.url).searchParams.get(folder) === 'meta.json');
        if (request)
            await add(async () => (await cache.match(request)).text());
    }
    return found;
}
/** Removes a model from the browser's storage; without a URL, all of them. */
export async function deleteCached(url) {
    const key = url === undefined ? undefined : await keyOf(manifestOf(url));
    try {
        const root = await navigator.storage.getDirectory();
        if (key === undefined)
            await root.removeEntry(folder, { recursive: true });
        else
            await (await root.getDirectoryHandle(folder)).removeEntry(key, { recursive: true });
    }
    catch {
        // it was not there
    }
    for (const name of await globalThis.caches?.keys().catch(() => []) ?? []) {
        if (key === undefined ? name.startsWith(`${folder}/`) : name === `${folder}/${key}`)
            await caches.delete(name);
    }
}
/** The URL of the manifest of a bundle: its own, or that of its directory. */
export function manifestOf(url) {
    const u = new URL(url, globalThis.location?.href);
    if (!u.pathname.endsWith('.json'))
        u.pathname = `${u.pathname.replace(/\/$/, '')}/manifest.json`;
    return u.href;
}
