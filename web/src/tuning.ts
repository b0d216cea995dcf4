// What benchmark() finds out about a device, kept for later loads: in a page by IndexedDB, in Node in a file.
import type { DeviceInfo } from './runtime.js';

/** The fastest constants of a kernel for one class of products on a device. */
export interface Tuned {
  kernel: string;
  /** Of its text: what was found is good for this one. */
  version: string;
  class: string;
  best: Record<string, number>;
}

/** Where it is kept, by device. */
export interface TuningStore {
  get(device: string): Promise<Tuned[] | undefined>;
  put(device: string, tuned: Tuned[]): Promise<void>;
  clear(): Promise<void>;
}

let store: TuningStore | undefined;

/** Sets where it is kept, outside of browsers. */
export function setTuningStore(s: TuningStore): void {
  store = s;
}

function theStore(): TuningStore | undefined {
  if (!store && globalThis.indexedDB) store = new Database();
  return store;
}

/** A device as far as the choice of constants depends on it: what is fast on one may not even fit on another. */
function nameOf(device: GPUDevice, info: DeviceInfo): string {
  const l = device.limits;
  const extras = [...device.features].filter((f) => f === 'shader-f16' || f.includes('subgroup')).sort();
  return [
    info.adapter,
    l.maxComputeInvocationsPerWorkgroup,
    l.maxComputeWorkgroupStorageSize,
    l.maxStorageBufferBindingSize,
    ...extras,
  ].join(', ');
}

/** What is kept about a device. Where nothing can be kept, that is nothing; nor is what is damaged. */
export async function keptTuning(device: GPUDevice, info: DeviceInfo): Promise<Tuned[]> {
  try {
    const kept = (await theStore()?.get(nameOf(device, info))) ?? [];
    return kept.filter((t) => Object(t.best) === t.best);
  } catch {
    return []; // in private windows, and where storage is blocked
  }
}

/** Keeps what was found about a device, in place of what was found for the same before. Returns why it cannot, and what to do. */
export async function keepTuning(device: GPUDevice, info: DeviceInfo, found: Tuned[]): Promise<string | undefined> {
  const s = theStore();
  if (!s) return 'There is no IndexedDB here to keep it in.';
  const id = (t: Tuned) => `${t.kernel} ${t.class}`;
  const all = new Map((await keptTuning(device, info)).map((t) => [id(t), t]));
  for (const t of found) all.set(id(t), { kernel: t.kernel, version: t.version, class: t.class, best: t.best });
  try {
    await s.put(nameOf(device, info), [...all.values()]);
    return undefined;
  } catch (e) {
    return refusal(e);
  }
}

/** Why storage has refused, and what to do. */
function refusal(e: unknown): string {
  const { name, message } = e as { name?: string; message?: string };
  switch (name) {
    case 'QuotaExceededError':
      return 'The browser has no room left for this site. Free some, for example by removing models that were downloaded, and search again.';
    case 'SecurityError':
    case 'InvalidStateError': // Firefox in private windows
    case 'NotAllowedError':
      return 'The browser lets this site store nothing: the window is private, or site data is blocked. Allow it, or use another window, and search again.';
  }
  return `It could not be stored: ${message || name || String(e)}`;
}

/** Forgets what benchmark() has found, for all devices. */
export async function forgetTuning(): Promise<void> {
  await theStore()?.clear();
}

/** A database of the page's origin. */
class Database implements TuningStore {
  private readonly name = 'tuning';

  get(device: string): Promise<Tuned[] | undefined> {
    return this.run('readonly', (s) => s.get(device));
  }

  async put(device: string, tuned: Tuned[]): Promise<void> {
    await this.run('readwrite', (s) => s.put(tuned, device));
  }

  async clear(): Promise<void> {
    await this.run('readwrite', (s) => s.clear());
  }

  private async run<T>(mode: IDBTransactionMode, use: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const opening = indexedDB.open('llama-webgpu-tuning', 1); // one of its own: pages may have llama-webgpu
    opening.onupgradeneeded = () => opening.result.createObjectStore(this.name);
    const db = await answer(opening);
    try {
      const t = db.transaction(this.name, mode);
      const complete = new Promise<void>((resolve, reject) => {
        t.oncomplete = () => resolve();
        t.onabort = () => reject(t.error ?? new Error('the transaction was aborted'));
      });
      const [result] = await Promise.all([answer(use(t.objectStore(this.name))), complete]); // room may turn out to be missing at the end
      return result;
    } finally {
      db.close();
    }
  }
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
