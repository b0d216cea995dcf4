// Finds and compiles the WebAssembly.
import { wasmPlaces } from './assets.js';
import { asError, LlamaError } from './errors.js';
import { checkStatus, isHTML, Line, notTheFile } from './exchange.js';
import { fetchSmall } from './wire.js';

/** The WebAssembly, if it is not llama-webgpu.wasm next to this file. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module;

let compiled: Promise<WebAssembly.Module> | undefined;
let own: () => Promise<WebAssembly.Module> = async () => compileFirst(wasmPlaces());

/** Sets how to read the package's WebAssembly where fetch cannot: in Node. */
export function setWasmReader(read: () => Promise<BufferSource>): void {
  own = async () => compileBytes(await read(), 'llama-webgpu.wasm');
}

/** Sets where the package's WebAssembly may be, in a Worker, which does not know. */
export function setWasmPlaces(places: readonly string[]): void {
  own = () => compileFirst(places);
}

/** The compiled WebAssembly; without a source, the package's own, which is compiled only once. */
export function wasmModule(source: WasmSource | undefined): Promise<WebAssembly.Module> {
  if (source !== undefined) return compile(source);
  compiled ??= own();
  compiled.catch(() => {
    compiled = undefined;
  }); // the next call tries again
  return compiled;
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source === 'string' || source instanceof URL) return compileURL(String(source));
  return compileBytes(source, 'wasm');
}

/** Compiles the file at the first address that has one. */
async function compileFirst(places: readonly string[]): Promise<WebAssembly.Module> {
  let first: LlamaError | undefined;
  for (const place of places) {
    try {
      return await compileURL(place);
    } catch (e) {
      const error = asError(e);
      first ??= error;
      if (error.code === 'corrupt' || first.code !== 'not-found') break;
    }
  }
  if (first && first.code !== 'not-found') throw first;
  const advice = `Copy node_modules/llama-webgpu/dist/llama-webgpu.wasm to where your bundle is served, or say where it is: load(url, { wasm: '/llama-webgpu.wasm' }).`;
  const why = first ? first.message : 'This bundle does not know its own address';
  throw new LlamaError('not-found', `The WebAssembly of llama-webgpu was not found. ${advice} ${why}`, {
    cause: first,
  });
}

async function compileURL(url: string): Promise<WebAssembly.Module> {
  if (url.startsWith('file:') && globalThis.location?.protocol !== 'file:')
    throw new LlamaError('invalid-argument', `${url}: fetch cannot read files. In Node, import llama-webgpu/node.`);
  try {
    return await compileStreamed(url);
  } catch (e) {
    if (refusedByPolicy(e)) throw policyError(url, e);
    if (e instanceof LlamaError && e.code !== 'network') throw e;
  }
  // Once more without streaming, which has more patience: it sees the bytes come.
  const bytes = await fetchSmall(url, { fetch: (u, init) => fetch(u, init), line: new Line() });
  return compileBytes(bytes as Uint8Array<ArrayBuffer>, url);
}

async function compileBytes(bytes: BufferSource, name: string): Promise<WebAssembly.Module> {
  return WebAssembly.compile(bytes).catch((e: unknown) => {
    if (refusedByPolicy(e)) throw policyError(name, e);
    throw new LlamaError('corrupt', `${name}: ${(e as Error).message}`, { cause: e });
  });
}

/**
 * Compiles the WebAssembly while it arrives, within 30 s. Where it is copied under its own name, the HTTP cache may have that
 * of another version of the package: what it has counts when the server says that it is the same, or cannot be reached.
 */
async function compileStreamed(url: string): Promise<WebAssembly.Module> {
  const ender = new AbortController();
  const timer = setTimeout(() => ender.abort(), 30_000);
  const { signal } = ender;
  try {
    const response = await fetch(url, { signal, cache: 'no-cache' }).catch(() =>
      fetch(url, { signal, cache: 'force-cache' }),
    );
    checkStatus(url, response);
    if (response.headers.get('Content-Type')?.startsWith('application/wasm'))
      return await WebAssembly.compileStreaming(response);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (isHTML(bytes)) throw notTheFile(url);
    return await WebAssembly.compile(bytes);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the page's content security policy forbids WebAssembly. Browsers say so only in the message. */
function refusedByPolicy(e: unknown): boolean {
  return e instanceof WebAssembly.CompileError && /unsafe-eval|content security policy|\bCSP\b/i.test(e.message);
}

function policyError(url: string, cause: unknown): LlamaError {
  const advice = `add 'wasm-unsafe-eval' to its script-src (in an extension: content_security_policy.extension_pages of manifest.json)`;
  return new LlamaError('invalid-argument', `${url}: the content security policy forbids WebAssembly: ${advice}.`, {
    cause,
  });
}
