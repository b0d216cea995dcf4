// The service worker: the page opens without its server, with the models that the browser has. What the server has is newer, so it is
// asked first; only files of the page are kept, no model, no answer. page/app.ts says where it is used.
//
// Files of two builds do not fit together. So those of one build are kept, all at once, when its service worker is installed; that of
// another build has a cache of its own, and deletes this one.

/** The files of the page and of the package, and what distinguishes this build, which the build puts in front of this script. */
declare const files: readonly string[];
declare const version: string;

interface Waiting {
  waitUntil(p: Promise<unknown>): void;
}

interface Asked {
  request: Request;
  respondWith(r: Promise<Response>): void;
}

/** What is used of a service worker's global object: TypeScript has types for pages or for workers, not for both at once. */
interface Scope {
  location: Location;
  clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', f: (e: Waiting) => void): void;
  addEventListener(type: 'fetch', f: (e: Asked) => void): void;
}

const worker = globalThis as unknown as Scope;
const base = new URL('./', worker.location.href);
const prefix = `llama-webgpu-page ${base.pathname} `; // an origin may have several
const name = prefix + version;
const urlOf = (file: string) => new URL(file, base).href;

/** What is kept when a page asks for it, and not before: the WebAssembly is large, and the list of models changes. */
const onDemand = (file: string) => file.endsWith('.wasm') || file === 'models.json';

/** What a request is for: a file of the page, or ''; undefined: something else. */
function fileOf(request: Request): string | undefined {
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== base.origin || !pathname.startsWith(base.pathname)) return undefined;
  const file = pathname.slice(base.pathname.length);
  return file === '' || file === 'models.json' || files.includes(file) ? file : undefined;
}

async function answer(request: Request, file: string): Promise<Response> {
  const cache = await caches.open(name);
  const key = urlOf(file); // whatever the page is asked
  try {
    const response = await fetch(request);
    if (response.status === 200 && onDemand(file)) await cache.put(key, response.clone()).catch(() => {}); // no room: it works with the server
    return response;
  } catch (e) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw e;
  }
}

/** The caches of this page, of any build. */
const ours = async () => (await caches.keys()).filter((n) => n.startsWith(prefix));

async function install(): Promise<void> {
  const held = await Promise.all((await ours()).map(async (n) => (await caches.open(n)).keys()));
  const had = new Set(held.flat().map((r) => r.url));
  const wanted = ['', ...files].filter((f) => !onDemand(f) || had.has(urlOf(f))); // who could go on without a server still can
  const request = (file: string) => new Request(urlOf(file), { cache: 'no-cache' });
  const cache = await caches.open(name);
  await cache.addAll(wanted.map(request));
  await cache.add(request('models.json')).catch(() => {}); // where there is none, the page works without
}

async function activate(): Promise<void> {
  for (const n of await ours()) if (n !== name) await caches.delete(n);
  await worker.clients.claim();
}

worker.addEventListener('install', (e) => {
  e.waitUntil(install());
  void worker.skipWaiting();
});
worker.addEventListener('activate', (e) => e.waitUntil(activate()));
worker.addEventListener('fetch', (e) => {
  const file = fileOf(e.request);
  if (file !== undefined) e.respondWith(answer(e.request, file));
});

export {};
