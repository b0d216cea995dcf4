import type { Store } from './cache.js';
import { LlamaError, throwIfAborted } from './errors.js';

/** Bytes per request. No larger piece of a file is ever in memory. */
export const blockBytes = 4 << 20;

/** How often a failed block is requested again, and the delay before the first retry, in ms. */
const retries = 5;
const firstDelay = 300;

export type Fetch = (
  url: string,
  init: { headers?: Record<string, string>; signal?: AbortSignal },
) => Promise<Response>;

export interface WireOptions {
  fetch: Fetch;
  signal?: AbortSignal | undefined;
  concurrency: number;
  store?: Store | undefined;
  /** Called with the number of bytes that came over the network. */
  received: (bytes: number) => void;
}

/**
 * A file of known size that is read from front to back. It prefetches the blocks ahead of the reader, several at once,
 * drops those behind, and resumes where a response broke off.
 */
export class WireFile {
  private readonly blocks = new Map<number, Promise<Uint8Array>>();
  private stream: SequentialBody | undefined; // from a server without range requests
  private whole = false; // the server has no range requests

  /** Whether any block came from the store. */
  fromStore = false;

  constructor(
    readonly url: string,
    readonly size: number,
    private readonly key: string, // of the file within the store
    private readonly o: WireOptions,
  ) {}

  /** Reads 1 to `length` bytes, starting at `offset`. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    throwIfAborted(this.o.signal);
    const first = Math.floor(offset / blockBytes);
    for (const i of this.blocks.keys()) if (i < first - 1) this.blocks.delete(i);
    for (let i = first; i < first + this.o.concurrency && i * blockBytes < this.size; i++) void this.block(i);
    const bytes = await this.block(first);
    const at = offset - first * blockBytes;
    return bytes.subarray(at, at + length);
  }

  private block(i: number): Promise<Uint8Array> {
    let b = this.blocks.get(i);
    if (!b) {
      b = this.fetchBlock(i);
      b.catch(() => this.blocks.delete(i)); // the reader sees the error
      this.blocks.set(i, b);
    }
    return b;
  }

  private async fetchBlock(i: number): Promise<Uint8Array> {
    const n = Math.min(blockBytes, this.size - i * blockBytes);
    const name = `${this.key}-${i}`;
    const kept = await this.o.store?.get(name);
    if (kept?.length === n) {
      this.fromStore = true;
      return kept;
    }
    const bytes = new Uint8Array(n);
    await this.fill(bytes, i);
    await this.o.store?.put(name, bytes);
    return bytes;
  }

  /** Fills a block, with several requests if necessary. */
  private async fill(bytes: Uint8Array, i: number): Promise<void> {
    let got = 0;
    for (let failures = 0; got < bytes.length; ) {
      throwIfAborted(this.o.signal);
      try {
        if (this.whole) {
          await this.fromStream(bytes, i);
          return;
        }
        await this.request(i * blockBytes + got, i * blockBytes + bytes.length, (part) => {
          bytes.set(part, got);
          got += part.length;
          failures = 0; // there is progress
        });
      } catch (e) {
        throwIfAborted(this.o.signal);
        if ((e instanceof LlamaError && e.code !== 'network') || ++failures > retries) throw e;
        await pause(firstDelay * 2 ** (failures - 1), this.o.signal);
      }
    }
  }

  /** Requests the bytes from `from` up to, but not including, `to`. */
  private async request(from: number, to: number, take: (part: Uint8Array) => void): Promise<void> {
    const response = await this.response({ Range: `bytes=${from}-${to - 1}` });
    if (response.status === 200) {
      this.whole = true; // the server ignores ranges
      void response.body?.cancel().catch(() => {});
      return;
    }
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '');
    if (response.status !== 206 || !range || Number(range[1]) !== from) {
      throw new LlamaError(
        'network',
        `${this.url}: requested bytes ${from}–${to - 1}, but the server answered ${response.status} ${range?.[0] ?? ''}`,
      );
    }
    if (range[3] !== '*' && Number(range[3]) !== this.size) {
      throw new LlamaError(
        'corrupt',
        `${this.url}: the file has ${range[3]} bytes, but the manifest says ${this.size}`,
      );
    }
    let left = to - from;
    for await (const part of chunks(response)) {
      const some = part.subarray(0, left);
      take(some);
      this.o.received(some.length);
      left -= some.length;
    }
    if (left > 0) throw new LlamaError('network', `${this.url}: the connection broke with ${left} bytes missing`);
  }

  private async response(headers: Record<string, string>): Promise<Response> {
    const init = this.o.signal ? { headers, signal: this.o.signal } : { headers };
    const response = await this.o.fetch(this.url, init).catch((e: unknown) => {
      throwIfAborted(this.o.signal);
      throw new LlamaError('network', `${this.url}: ${(e as Error).message}`, { cause: e });
    });
    if (response.status === 416)
      throw new LlamaError(
        'corrupt',
        `${this.url}: the file is shorter than the ${this.size} bytes that the manifest says`,
      );
    checkStatus(this.url, response);
    return response;
  }

  /** Fills a block from the one response of a server without ranges, requesting it again if necessary. */
  private async fromStream(bytes: Uint8Array, i: number): Promise<void> {
    for (;;) {
      this.stream ??= new SequentialBody(this.url, () => this.response({}), this.o.received);
      const stream = this.stream;
      try {
        if (await stream.take(bytes, i * blockBytes)) return;
      } catch (e) {
        if (this.stream === stream) this.stream = undefined;
        throw e;
      }
      if (this.stream === stream) this.stream = undefined; // it is past the block
      stream.cancel();
    }
  }
}

/** A response body read in order, for readers that come in any order. */
class SequentialBody {
  private at = 0; // bytes read
  private rest = new Uint8Array(0); // read, but not yet taken
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly url: string,
    private readonly open: () => Promise<Response>,
    private readonly received: (bytes: number) => void,
  ) {}

  /** Fills `bytes` with what begins at `offset`; false if the body is already past it. */
  take(bytes: Uint8Array, offset: number): Promise<boolean> {
    const turn = this.queue.then(() => this.skipAndFill(bytes, offset));
    this.queue = turn.catch(() => {});
    return turn;
  }

  private async skipAndFill(bytes: Uint8Array, offset: number): Promise<boolean> {
    if (offset < this.at) return false;
    this.reader ??= (await this.open()).body!.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    while (this.at < offset + bytes.length) {
      if (this.rest.length === 0) {
        const { done, value } = await this.reader.read().catch((e: unknown) => {
          throw new LlamaError('network', `${this.url}: ${(e as Error).message}`, { cause: e });
        });
        if (done) throw new LlamaError('corrupt', `${this.url}: the file ends at byte ${this.at}`);
        this.rest = value as Uint8Array<ArrayBuffer>;
        this.received(value.length);
      }
      const into = this.at - offset;
      const n = Math.min(this.rest.length, into < 0 ? -into : bytes.length - into);
      if (into >= 0) bytes.set(this.rest.subarray(0, n), into);
      this.rest = this.rest.subarray(n);
      this.at += n;
    }
    return true;
  }

  cancel(): void {
    void this.reader?.cancel().catch(() => {});
  }
}

/** The chunks of a response body. */
async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (e) {
    throw new LlamaError('network', `${response.url}: ${(e as Error).message}`, { cause: e });
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** Throws unless the response is a success. Errors that may be temporary have the code 'network'. */
export function checkStatus(url: string, response: Response): void {
  const s = response.status;
  if (response.ok) return;
  if (s === 404 || s === 410) throw new LlamaError('not-found', `${url}: the server answered ${s}`);
  if (s >= 500 || s === 408 || s === 429) throw new LlamaError('network', `${url}: the server answered ${s}`);
  throw new LlamaError('invalid-argument', `${url}: the server refused with ${s}`);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

/** Fetches a small file as a whole, with retries.  */
export async function fetchSmall(url: string, o: WireOptions): Promise<Uint8Array> {
  for (let failures = 0; ; ) {
    throwIfAborted(o.signal);
    try {
      const response = await o.fetch(url, o.signal ? { signal: o.signal } : {});
      checkStatus(url, response);
      return new Uint8Array(await response.arrayBuffer());
    } catch (e) {
      throwIfAborted(o.signal);
      const error =
        e instanceof LlamaError ? e : new LlamaError('network', `${url}: ${(e as Error).message}`, { cause: e });
      if (error.code !== 'network' || ++failures > 2) throw error;
      await pause(firstDelay * 2 ** (failures - 1), o.signal);
    }
  }
}
