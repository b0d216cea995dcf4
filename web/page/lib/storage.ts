// What the browser does with what the page has stored.

/** Asks the browser not to evict what the page stores, and returns whether it agrees. It may ask the user first. */
export async function keepStorage(): Promise<boolean> {
  try {
    return await navigator.storage.persist();
  } catch {
    return false; // it has no such thing
  }
}
