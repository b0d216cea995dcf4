// Conversations in this browser: IndexedDB, one record each.
import type { Conversation } from './tree.js';

const database = 'llama-webgpu';
const table = 'conversations';

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: 'id' });
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close(); // another tab has a newer page
      resolve(request.result);
    };
    request.onerror = () => reject(failure(request.error));
    request.onblocked = () => reject(failure('another tab holds it'));
  });
  opened.catch(() => {
    opened = undefined; // try again next time
  });
  return opened;
}

function failure(why: unknown): Error {
  const text = why instanceof Error || why instanceof DOMException ? why.message : String(why);
  return Object.assign(new Error(`The browser could not store it (${text}): export what you need.`), {
    code: 'storage',
  });
}

async function ask<T>(mode: IDBTransactionMode, f: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await open();
  return new Promise<T>((resolve, reject) => {
    const t = db.transaction(table, mode);
    const request = f(t.objectStore(table));
    t.oncomplete = () => resolve(request.result);
    t.onabort = () => reject(failure(t.error ?? 'it was aborted'));
  });
}

/** All conversations, the one that was used last first. */
export async function all(): Promise<Conversation[]> {
  const list = await ask<Conversation[]>('readonly', (s) => s.getAll());
  return list.sort((a, b) => b.updated - a.updated);
}

export async function save(c: Conversation): Promise<void> {
  await ask('readwrite', (s) => s.put(c));
}

export async function erase(id: string): Promise<void> {
  await ask('readwrite', (s) => s.delete(id));
}
