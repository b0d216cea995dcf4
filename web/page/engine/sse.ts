/** Reads server-sent events: yields the data of each. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const parts = rest.split(/\r?\n\r?\n/);
      rest = done ? '' : parts.pop()!;
      for (const part of parts) {
        const data = dataOf(part);
        if (data !== undefined) yield data;
      }
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {}); // the one who reads has gone
  }
}

function dataOf(event: string): string | undefined {
  const lines = event.split(/\r?\n/).filter((l) => l.startsWith('data:'));
  return lines.length > 0 ? lines.map((l) => l.slice(5).replace(/^ /, '')).join('\n') : undefined;
}
