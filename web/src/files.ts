// Bundles that are read from files of the visitor's, as a page gets them from <input type="file" webkitdirectory>, from a
// drop, or from a directory handle.
import { wants } from './arguments.js';
import { LlamaError } from './errors.js';
import type { Fetch } from './exchange.js';

/** The address that the files of a bundle have among themselves. */
export interface LocalBundle {
  manifestUrl: string;
  files: File[];
}

/** What load() is given: an address, or the files of a bundle. */
export type Source = string | URL | Iterable<File>;

/** The files, if it is files that load() is given. */
export function filesOf(source: unknown): LocalBundle | undefined {
  if (typeof source !== 'object' || source === null || !(Symbol.iterator in source)) return undefined;
  const files = Array.from(source as Iterable<unknown>);
  const wrong = files.find((f) => typeof (f as Partial<File> | null)?.arrayBuffer !== 'function');
  if (wrong !== undefined) throw wants('the files of the bundle', 'File objects', wrong);
  return bundleIn(files as File[]);
}

function path(f: File): string {
  return f.webkitRelativePath || f.name;
}

/** Finds the bundle among files: the directory with a manifest.json that is least deep. */
function bundleIn(files: File[]): LocalBundle {
  const depth = (f: File) => path(f).split('/').length;
  const manifests = files.filter((f) => f.name === 'manifest.json').sort((a, b) => depth(a) - depth(b));
  const [first, second] = manifests;
  if (!first) {
    const checkpoint = files.some((f) => /\.(safetensors|gguf|bin)$/.test(f.name));
    const what = checkpoint ? ': this looks like a checkpoint, which llama-webgpu quantize makes a bundle of' : '';
    throw new LlamaError('not-found', `There is no manifest.json among the ${files.length} files${what}.`);
  }
  if (second && depth(second) === depth(first)) {
    const names = manifests
      .filter((m) => depth(m) === depth(first))
      .map((m) => path(m).replace(/\/manifest\.json$/, ''));
    throw new LlamaError('invalid-argument', `There are several bundles: choose one of ${names.join(', ')}.`);
  }
  const dir = path(first).slice(0, -'manifest.json'.length);
  const inside = files.filter((f) => path(f) === dir + f.name);
  const name = dir.split('/').at(-2) ?? 'bundle';
  return { manifestUrl: `folder:/${encodeURIComponent(name)}/manifest.json`, files: inside };
}

/** A fetch that knows these files alone. */
export function fetchFiles(files: readonly File[]): Fetch {
  const named = new Map(files.map((f) => [f.name, f]));
  return async (url, init) => {
    const f = named.get(decodeURIComponent(new URL(url).pathname.split('/').at(-1)!));
    if (!f) return new Response(null, { status: 404 });
    const range = /^bytes=(\d+)-(\d+)$/.exec(init.headers?.['Range'] ?? '');
    if (!range) return new Response(f);
    const from = Number(range[1]);
    const to = Math.min(Number(range[2]) + 1, f.size);
    return new Response(f.slice(from, to), {
      status: 206,
      headers: { 'Content-Range': `bytes ${from}-${to - 1}/${f.size}`, 'Content-Length': String(to - from) },
    });
  };
}
