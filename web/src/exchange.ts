// One request to a server, and how it may fail.
import { LlamaError, throwIfAborted } from './errors.js';

/** How long a server may be silent, in ms. Each retry of a block waits twice as long as the one before, up to 40 s. */
const silence = 10_000;

export type Fetch = (
  url: string,
  init: { headers?: Record<string, string>; signal?: AbortSignal; cache?: RequestCache },
) => Promise<Response>;

/** The connection to the servers of one load: notices when they have gone silent. */
export class Line {
  private heard = performance.now(); // when the last bytes came, in any response

  constructor(private readonly patience = silence) {}

  /**
   * Waits for the next part of a response. It is given up when nothing has come for as long as the patience lasts, in
   * any response: browsers and HTTP/2 servers may serve one request after the other.
   */
  async wait<T>(url: string, part: Promise<T>, failures: number): Promise<T> {
    const limit = this.patience * 2 ** Math.min(failures, 2);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silent = new Promise<never>((_, reject) => {
      const look = () => {
        const left = this.heard + limit - performance.now();
        if (left > 0) timer = setTimeout(look, left);
        else reject(new LlamaError('network', `${url}: the server has sent nothing for ${limit / 1000} s`));
      };
      timer = setTimeout(look, limit);
    });
    try {
      const got = await Promise.race([part, silent]);
      this.heard = performance.now();
      return got;
    } finally {
      clearTimeout(timer);
    }
  }
}

export interface ExchangeOptions {
  fetch: Fetch;
  signal?: AbortSignal | undefined;
  line: Line;
}

/** A request and its response. Errors that may be temporary have the code 'network', silence among them. */
export class Exchange {
  private readonly ender = new AbortController();
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  private atStart = true; // the next bytes are the first of the file

  /**
   * With `no-cache`, the HTTP cache is used only for what the server says is still the same. Weights are fetched with
   * `no-store`: the package keeps them itself, and browsers let requests of one address wait for each other in the HTTP
   * cache. `failures` are those of the same request before this one.
   */
  constructor(
    private readonly url: string,
    private readonly o: ExchangeOptions,
    private readonly cache: 'no-cache' | 'no-store',
    private readonly failures = 0,
  ) {}

  /** Requests a file, or its bytes from `from` up to, but not including, `to`. */
  async open(from?: number, to?: number): Promise<Response> {
    this.atStart = !from;
    const headers: Record<string, string> = from === undefined ? {} : { Range: `bytes=${from}-${to! - 1}` };
    this.o.signal?.addEventListener('abort', this.abort, { once: true });
    const init = { headers, signal: this.ender.signal, cache: this.cache };
    const asked = (async () => this.o.fetch(this.url, init))();
    const response = await this.step(asked);
    // Not instanceof: it may be of another realm.
    if (typeof (response as Partial<Response> | undefined)?.headers?.get !== 'function')
      throw new LlamaError('invalid-argument', 'fetch: the function returned no Response');
    if (response.status !== 416) checkStatus(this.url, response);
    this.reader = response.body?.getReader() as typeof this.reader;
    return response;
  }

  /** The next bytes of the body; undefined at its end. */
  async read(): Promise<Uint8Array | undefined> {
    if (!this.reader) return undefined;
    const { done, value } = await this.step(this.reader.read());
    if (done) return undefined;
    if (this.atStart && value.length > 0) {
      this.atStart = false;
      if (isHTML(value)) throw notTheFile(this.url);
    }
    return value;
  }

  private async step<T>(part: Promise<T>): Promise<T> {
    try {
      return await this.o.line.wait(this.url, part, this.failures);
    } catch (e) {
      this.close();
      throwIfAborted(this.o.signal);
      throw e instanceof LlamaError ? e : new LlamaError('network', `${this.url}: ${reason(e)}`, { cause: e });
    }
  }

  private readonly abort = () => this.close();

  /** Ends the request. */
  close(): void {
    this.o.signal?.removeEventListener('abort', this.abort);
    void this.reader?.cancel().catch(() => {});
    this.ender.abort();
  }
}

/** What an error says, and its cause: Node's fetch says no more than "fetch failed". */
function reason(e: unknown): string {
  if (!(e instanceof Error)) return String(e);
  return e.cause instanceof Error && e.cause.message ? `${e.message}: ${e.cause.message}` : e.message;
}

/** The error for a server that sends an HTML page instead of a file. */
export function notTheFile(url: string): LlamaError {
  return new LlamaError(
    'not-found',
    `${url}: the server answered with an HTML page instead of the file. Is the path right? Hosts of single-page apps send their start page for every file that does not exist.`,
  );
}

/** Whether a file begins as an HTML page does. */
export function isHTML(bytes: Uint8Array): boolean {
  const begin = new TextDecoder().decode(bytes.subarray(0, 1024));
  return /^\s*<(!doctype\s|!--|html|head|body|title|meta|script)/i.test(begin);
}

/** Throws unless the response is a success. Errors that may be temporary have the code 'network'. */
export function checkStatus(url: string, response: Response): void {
  const s = response.status;
  if (response.ok) return;
  if (s === 404 || s === 410) throw new LlamaError('not-found', `${url}: the server answered ${s}`);
  if (s >= 500 || s === 408 || s === 429) throw new LlamaError('network', `${url}: the server answered ${s}`);
  throw new LlamaError('invalid-argument', `${url}: the server refused with ${s}`);
}
