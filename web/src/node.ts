// Node has no WebGPU of its own: the npm package "webgpu" (Dawn) adds it.
import { open, readFile, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checked, invalid, options as optionsOf } from './arguments.js';
import { type BenchmarkOptions, type BenchmarkReport, benchmark as benchmarkUrl } from './benchmark.js';
import { LlamaError } from './errors.js';
import type { Fetch } from './exchange.js';
import { type LoadOptions, load as loadUrl, type TextModel } from './text.js';
import { setTuningStore } from './tuning.js';
import { TuningInFile } from './tuning-file.js';
import { setWasmReader } from './wasm.js';

export * from './index.js';

setTuningStore(new TuningInFile());

setWasmReader(() => readFile(new URL('./llama-webgpu.wasm', import.meta.url)));

/** Sets navigator.gpu to the one of the package "webgpu", unless there is one. `flags` are Dawn's. */
export async function installWebGPU(flags: string[] = []): Promise<void> {
  if (!Array.isArray(flags) || flags.some((f) => typeof f !== 'string'))
    throw invalid('flags: want an array of strings');
  if ((globalThis.navigator as { gpu?: unknown } | undefined)?.gpu) return;
  let dawn: { create(flags: string[]): GPU; globals: object };
  try {
    dawn = (await import('webgpu' as string)) as typeof dawn;
  } catch (e) {
    throw new LlamaError('webgpu-unavailable', 'The package "webgpu" is missing: npm install webgpu', { cause: e });
  }
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create(flags);
  const navigator = globalThis.navigator as object | undefined;
  if (navigator) Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
  else Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
}

/** Loads a bundle from a directory, or from a URL. */
export async function load(where: string | URL, options: LoadOptions = {}): Promise<TextModel> {
  const [url, given] = checked(() => [urlOf(where), { ...optionsOf(options) }] as const);
  if (!given.device) await installWebGPU();
  return loadUrl(url, { ...given, fetch: given.fetch ?? fetchAny });
}

/** benchmark() of the main entry point, for a directory as well. `flags` are Dawn's. */
export async function benchmark(
  where?: string | URL | null,
  options: BenchmarkOptions & { flags?: string[] } = {},
): Promise<BenchmarkReport> {
  const given = checked(() => ({ ...optionsOf(options) }));
  const url = checked(() => (where === undefined || where === null ? null : urlOf(where)));
  if (!given.device) await installWebGPU(given.flags ?? []);
  return benchmarkUrl(url, { ...given, fetch: given.fetch ?? fetchAny });
}

/** Takes URLs as they are, and everything else as a path. */
function urlOf(where: string | URL): URL {
  if (where instanceof URL) return where;
  if (typeof where !== 'string' || where === '') throw invalid('load: want the path or the URL of a bundle');
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(where)
    ? new URL(where)
    : pathToFileURL(resolve(where) + (where.endsWith(sep) ? sep : ''));
}

/** fetch that also takes file: URLs, and ranges of them. */
export const fetchAny: Fetch = async (url, init) => {
  if (!url.startsWith('file:')) return fetch(url, init);
  const path = fileURLToPath(url);
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile())
    throw new LlamaError(
      'not-found',
      `${path}: there is no such file. A bundle is a directory with manifest.json, model.wgpu and vocab.json, as llama-webgpu quantize writes it.`,
    );
  const range = /^bytes=(\d+)-(\d+)$/.exec(init.headers?.['Range'] ?? '');
  if (!range) return new Response(await readFile(path));
  const start = Number(range[1]);
  const end = Math.min(Number(range[2]), info.size - 1);
  if (start > end) return new Response(null, { status: 416 });
  const file = await open(path);
  const body = Readable.toWeb(file.createReadStream({ start, end, highWaterMark: 1 << 20 })) as ReadableStream;
  return new Response(body, { status: 206, headers: { 'Content-Range': `bytes ${start}-${end}/${info.size}` } });
};
