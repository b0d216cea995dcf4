import type { Store } from './cache.js';
import { LlamaError, throwIfAborted } from './errors.js';
import { Exchange, type ExchangeOptions, notTheFile } from './exchange.js';

/** Bytes per request. No larger piece of a file is ever in memory. */
export const blockBytes = 4 << 20;

/** How often a failed block is requested again, and the delay before the first retry, in ms. */
const retries = 5;
const firstDelay = 300;

export interface WireOptions extends ExchangeOptions {
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
          await this.fromStream(bytes, i, failures);
          return;
        }
        await this.request(i * blockBytes + got, i * blockBytes + bytes.length, failures, (part) => {
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
  private async request(from: number, to: number, failures: number, take: (part: Uint8Array) => void): Promise<void> {
    const exchange = new Exchange(this.url, this.o, 'no-store', failures);
    try {
      const response = await exchange.open(from, to);
      if (response.status === 200) {
        this.whole = true; // the server ignores ranges
        return;
      }
      this.checkRange(response, from, to);
      let left = to - from;
      while (left > 0) {
        const part = (await exchange.read())?.subarray(0, left);
        if (!part) throw new LlamaError('network', `${this.url}: the connection broke with ${left} bytes missing`);
        take(part);
        this.o.received(part.length);
        left -= part.length;
      }
    } finally {
      exchange.close();
    }
  }

  /**
   * Throws unless a response is the range that was requested. Servers of other origins hide Content-Range unless they
   * say otherwise: then it is what was requested if it is as long, which the hashes of the tensors prove later.
   */
  private checkRange(response: Response, from: number, to: number): void {
    const file = `${this.url}: the file`;
    if (response.status === 416)
      throw new LlamaError('corrupt', `${file} is shorter than the ${this.size} bytes that the manifest says`);
    const header = response.headers.get('Content-Range');
    if (response.status === 206 && header === null) return;
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header ?? '');
    if (response.status !== 206 || !range || Number(range[1]) !== from) {
      throw new LlamaError(
        'network',
        `${this.url}: requested bytes ${from}–${to - 1}, but the server answered ${response.status} ${header ?? ''}`,
      );
    }
    if (range[3] === '*' || Number(range[3]) === this.size) return;
    if (response.headers.get('Content-Type')?.startsWith('text/html')) throw notTheFile(this.url);
    throw new LlamaError('corrupt', `${file} has ${range[3]} bytes, but the manifest says ${this.size}`);
  }

  /** Fills a block from the one response of a server without ranges, requesting it again if necessary. */
  private async fromStream(bytes: Uint8Array, i: number, failures: number): Promise<void> {
    for (;;) {
      this.stream ??= new SequentialBody(
        this.url,
        new Exchange(this.url, this.o, 'no-store', failures),
        this.o.received,
      );
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
  private rest: Uint8Array = new Uint8Array(0); // read, but not yet taken
  private opened = false;
  private length: string | null = null; // of the body, as far as the server says
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly url: string,
    private readonly exchange: Exchange,
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
    if (!this.opened) {
      const { headers } = await this.exchange.open();
      if (headers.get('Content-Encoding') === null) this.length = headers.get('Content-Length');
    }
    this.opened = true;
    while (this.at < offset + bytes.length) {
      if (this.rest.length === 0) {
        const part = await this.exchange.read();
        if (!part) throw this.tooShort();
        this.rest = part;
        this.received(part.length);
      }
      const into = this.at - offset;
      const n = Math.min(this.rest.length, into < 0 ? -into : bytes.length - into);
      if (into >= 0) bytes.set(this.rest.subarray(0, n), into);
      this.rest = this.rest.subarray(n);
      this.at += n;
    }
    return true;
  }

  /** The error for a body that has ended too early: if the server did not say that it would, the connection broke. */
  private tooShort(): LlamaError {
    if (this.length === String(this.at))
      return new LlamaError('corrupt', `${this.url}: the file ends at byte ${this.at}`);
    return new LlamaError('network', `${this.url}: the response ended at byte ${this.at}, before the file does`);
  }

  cancel(): void {
    this.exchange.close();
  }
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

/** Fetches a small file as a whole, in up to `tries` attempts. */
export async function fetchSmall(url: string, o: ExchangeOptions, tries = 3): Promise<Uint8Array> {
  for (let failures = 0; ; ) {
    throwIfAborted(o.signal);
    const exchange = new Exchange(url, o, 'no-cache');
    try {
      await exchange.open();
      return await readAll(exchange);
    } catch (e) {
      throwIfAborted(o.signal);
      if ((e instanceof LlamaError && e.code !== 'network') || ++failures >= tries) throw e;
      await pause(firstDelay * 2 ** (failures - 1), o.signal);
    } finally {
      exchange.close();
    }
  }
}

async function readAll(exchange: Exchange): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let part = await exchange.read(); part; part = await exchange.read())
    parts.push(part as Uint8Array<ArrayBuffer>);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
