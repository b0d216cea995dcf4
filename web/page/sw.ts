// The service worker: the page opens without its server, with the models that the browser has. What the server has is newer, so it is
// asked first; only files of the page are kept, no model, no answer. page/app.ts says where it is used.

/** The files of the page and of the package, which the build puts in front of this script. */
declare const files: readonly string[];

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
const name = 'llama-webgpu-page';
const base = new URL('./', worker.location.href);

/** What a request is for: a file of the page, or ''; undefined: something else. */
function fileOf(request: Request): string | undefined {
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== base.origin || !pathname.startsWith(base.pathname)) return undefined;
  const file = pathname.slice(base.pathname.length);
  return file === '' || file === 'models.json' || files.includes(file) ? file : undefined;
}

async function answer(request: Request, file: string): Promise<Response> {
  const cache = await caches.open(name);
  const key = new URL(file, base).href; // whatever the page is asked
  try {
    const response = await fetch(request);
    if (response.status === 200) await cache.put(key, response.clone()).catch(() => {}); // no room: it works with the server
    return response;
  } catch (e) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw e;
  }
}

worker.addEventListener('install', (e) => {
  const first = ['', ...files.filter((f) => !f.endsWith('.wasm'))]; // that one is kept when it is needed
  e.waitUntil(caches.open(name).then((c) => c.addAll(first.map((f) => new URL(f, base).href))));
  void worker.skipWaiting();
});
worker.addEventListener('activate', (e) => e.waitUntil(worker.clients.claim()));
worker.addEventListener('fetch', (e) => {
  const file = fileOf(e.request);
  if (file !== undefined) e.respondWith(answer(e.request, file));
});

export {};
