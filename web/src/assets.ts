// Where the files are that the package needs beside its scripts: its WebAssembly and its Worker.
import { base as pageURL } from './arguments.js';

/** The script of a bundle that is no module, while it is evaluated: such bundles have no import.meta.url. */
const script = (globalThis.document?.currentScript as HTMLScriptElement | null | undefined)?.src;

/**
 * The WebAssembly as bundlers find it: they read the first line, copy the file and put its new address in. Turbopack's
 * URL has a path alone.
 */
function bundled(): string | undefined {
  try {
    const { href } = new URL('./llama-webgpu.wasm', import.meta.url);
    return new URL(href, pageURL()).href;
  } catch {
    return undefined;
  }
}

/**
 * The addresses where the WebAssembly may be, in the order in which to look: where the bundler has put it, or beside
 * this file; beside the bundle; and, for servers of a project's directory, in node_modules as Node finds a package.
 */
export function wasmPlaces(): string[] {
  const name = 'llama-webgpu.wasm';
  const beside = bundled();
  const base = script || beside || pageURL();
  const places = beside ? [beside] : [];
  if (base && /^(https?|file|[a-z]+-extension):/.test(base)) {
    places.push(new URL(name, base).href);
    for (const dir of parents(new URL(base))) places.push(`${dir}node_modules/llama-webgpu/dist/${name}`);
  }
  return [...new Set(places)];
}

/**
 * The directories in which a package of the module at `url` may have its node_modules: the one that the module is in
 * (Vite's development server bundles packages into node_modules/.vite/deps), or else all that are above it.
 */
function parents(url: URL): string[] {
  const parts = url.pathname.split('/').slice(1, -1);
  const inside = parts.lastIndexOf('node_modules');
  const depths = inside >= 0 ? [inside] : Array.from({ length: parts.length + 1 }, (_, i) => parts.length - i);
  const root = `${url.protocol}//${url.host}/`;
  return depths.map((n) => parts.slice(0, n).reduce((dir, part) => `${dir}${part}/`, root));
}

/** Starts the package's Worker from its file, in the one way of writing it that bundlers recognize. */
export function workerOfFile(): Worker {
  return new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module', name: 'llama-webgpu' });
}
