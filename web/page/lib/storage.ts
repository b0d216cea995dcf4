// What the browser stores for the page beside conversations. Where it refuses (blocked cookies, no room), the page goes on without:
// settings hold until it is closed.

type Kept = 'localStorage' | 'sessionStorage';

export function recall(name: string, where: Kept = 'localStorage'): string | null {
  try {
    return globalThis[where].getItem(name);
  } catch {
    return null;
  }
}

/** Remembers a text; undefined forgets it. */
export function remember(name: string, text: string | undefined, where: Kept = 'localStorage'): void {
  try {
    if (text === undefined) globalThis[where].removeItem(name);
    else globalThis[where].setItem(name, text);
  } catch {
    // refused
  }
}

/** Asks the browser not to evict what the page stores, and returns whether it agrees. It may ask the user first. */
export async function keepStorage(): Promise<boolean> {
  try {
    return await navigator.storage.persist();
  } catch {
    return false; // it has no such thing
  }
}
