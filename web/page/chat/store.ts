// Conversations in this browser: IndexedDB, one record each. Tabs tell each other what they have saved.
import { type Conversation, type Message, merge } from './tree.js';

const database = 'llama-webgpu';
const table = 'conversations';

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: 'id' });
    request.onsuccess = () => {
      const db = request.result;
      db.onversionchange = () => db.close(); // another tab has a newer page
      db.onclose = () => {
        opened = undefined; // the browser has cleared its storage
      };
      resolve(db);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('another tab holds it'));
  });
  opened.catch(() => {
    opened = undefined; // try again next time
  });
  return opened;
}

function failure(e: unknown): Error {
  const { name, message } = e as { name?: string; message?: string };
  const why = name === 'QuotaExceededError' ? 'there is no room left' : message || name || String(e);
  return Object.assign(new Error(`The browser could not store it (${why}): export what you need.`), {
    code: 'storage',
  });
}

/** Makes a request, and in the same transaction what `then` makes of its result. Returns the result when all is complete. */
async function transact<T>(
  mode: IDBTransactionMode,
  ask: (s: IDBObjectStore) => IDBRequest<T>,
  then: (s: IDBObjectStore, result: T) => void = () => {},
): Promise<T> {
  try {
    const db = await open();
    return await new Promise<T>((resolve, reject) => {
      const t = db.transaction(table, mode);
      const request = ask(t.objectStore(table));
      let thrown: unknown;
      request.onsuccess = () => {
        try {
          then(t.objectStore(table), request.result);
        } catch (e) {
          thrown = e;
          t.abort();
        }
      };
      t.oncomplete = () => resolve(request.result);
      t.onabort = () => reject(thrown ?? t.error ?? new Error('it was aborted'));
    });
  } catch (e) {
    throw failure(e);
  }
}

/** The messages of each conversation that were stored when this tab looked last, by their ids. */
const known = new Map<string, Set<string>>();

const idsOf = (c: Conversation) => new Set(c.messages.map((m) => m.id));
const knownOf = (c: Conversation) => known.get(c.id) ?? new Set<string>();

/** All conversations, the one that was used last first. */
export async function all(): Promise<Conversation[]> {
  const list = await transact<Conversation[]>('readonly', (s) => s.getAll());
  for (const c of list) known.set(c.id, idsOf(c));
  return list.sort((a, b) => b.updated - a.updated);
}

/** What is stored of a conversation. */
export function get(id: string): Promise<Conversation | undefined> {
  return transact<Conversation | undefined>('readonly', (s) => s.get(id));
}

/** Takes over what another tab has stored, but for a message that is being written here. */
export function take(c: Conversation, theirs: Conversation, writing?: Message): void {
  merge(c, theirs, knownOf(c));
  known.set(c.id, idsOf(theirs));
  const { messages, leaf, ...rest } = theirs;
  Object.assign(c, rest);
  if (!writing) c.leaf = leaf;
  const mine = new Map(c.messages.map((m) => [m.id, m]));
  for (const m of messages) if (m.id !== writing?.id) Object.assign(mine.get(m.id) ?? {}, m);
}

/** Stores a conversation, with what other tabs have added to it. */
export async function save(c: Conversation): Promise<void> {
  let ids = new Set<string>();
  await transact<Conversation | undefined>(
    'readwrite',
    (s) => s.get(c.id),
    (s, stored) => {
      if (stored) merge(c, stored, knownOf(c));
      s.put(c);
      ids = idsOf(c);
    },
  );
  known.set(c.id, ids);
  tell({ saved: c.id });
}

export async function erase(id: string): Promise<void> {
  await transact('readwrite', (s) => s.delete(id));
  known.delete(id);
  tell({ erased: id });
}

/** What a tab tells the others. */
type News = { saved: string } | { erased: string };

const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel(database) : undefined;

function tell(news: News): void {
  channel?.postMessage(news);
}

/** Listens to what other tabs do. */
export function listen(saved: (id: string) => void, erased: (id: string) => void): void {
  channel?.addEventListener('message', (e: MessageEvent<News>) => {
    if ('saved' in e.data) saved(e.data.saved);
    else erased(e.data.erased);
  });
}
