// Looks for the constants with which kernels are fastest on a device.
import { unlessAborted } from './abort.js';
import { checked, onAbort, options as optionsOf } from './arguments.js';
import { manifestOf } from './cache.js';
import { Callback, forCaller } from './callback.js';
import { type DeviceOptions, gpuDevice } from './device.js';
import { LlamaError, throwIfAborted } from './errors.js';
import { type Fetch, Line } from './exchange.js';
import { fetchFiles, filesOf, type Source } from './files.js';
import { benchmarkOptions } from './options.js';
import { type DeviceInfo, endRuntime, type GoTuned, type Runtime, runtimeOf } from './runtime.js';
import { keepTuning } from './tuning.js';
import type { WasmSource } from './wasm.js';
import { fetchSmall } from './wire.js';

export { forgetTuning } from './tuning.js';

export interface BenchmarkOptions extends DeviceOptions {
  /** The GPU to use. Default: benchmark() opens one, and closes it. */
  device?: GPUDevice;
  /** Passes of how many tokens to tune for. Default: 1, 2, 4, 8, 16, 64 and 512, or 1 and 512 if `quick`. */
  tokens?: readonly number[];
  /** Tries fewer combinations. */
  quick?: boolean;
  /** Whether later loads on this device use what is found. Default: true. */
  keep?: boolean;
  /** Ends the search. What was found until then is kept if it can be: the error's `kept` and `reason` say so. */
  signal?: AbortSignal;
  /** Called with how many searches are done, and what the next one is for. */
  onProgress?: (progress: BenchmarkProgress) => void;
  /** Replaces fetch. */
  fetch?: Fetch;
  /** The WebAssembly. Default: llama-webgpu.wasm next to this file. */
  wasm?: WasmSource;
}

export interface BenchmarkProgress {
  done: number;
  total: number;
  now: string;
}

/** What was found for one kernel and one class of products, or for attention. */
export interface BenchmarkResult extends GoTuned {}

export interface BenchmarkReport {
  device: DeviceInfo;
  results: BenchmarkResult[];
  /** What all of these take in a pass of so many tokens: milliseconds before and after. */
  passes: { tokens: number; before: number; after: number }[];
  kept: boolean;
  /** For people: why nothing is kept, and what to do. */
  reason?: string;
}

/**
 * Tries the constants of the kernels on a device, for the shapes of a model, and keeps the fastest for later loads. Of the
 * bundle it reads the manifest alone; without one, it takes the shapes of a Llama 3.2 1B in int4.
 */
export async function benchmark(source?: Source | null, options: BenchmarkOptions = {}): Promise<BenchmarkReport> {
  try {
    const o = checked(() => benchmarkOptions(options));
    const url = checked(() => manifestIn(source));
    throwIfAborted(o.signal);
    const own = !o.device;
    const device = o.device ?? (await unlessAborted(o.signal, gpuDevice(optionsOf(options)), (d) => d.destroy()));
    try {
      return await search(device, url, o);
    } finally {
      if (own) {
        await endRuntime(device);
        device.destroy();
      }
    }
  } catch (e) {
    throw forCaller(e);
  }
}

/** Where the manifest is, and how to fetch it. */
function manifestIn(source: Source | null | undefined): { url: string; fetch?: Fetch } | undefined {
  if (source === undefined || source === null) return undefined;
  const local = filesOf(source);
  return local
    ? { url: local.manifestUrl, fetch: fetchFiles(local.files) }
    : { url: manifestOf(source as string | URL) };
}

async function search(
  device: GPUDevice,
  manifest: { url: string; fetch?: Fetch } | undefined,
  o: ReturnType<typeof benchmarkOptions>,
): Promise<BenchmarkReport> {
  const fetcher: Fetch = manifest?.fetch ?? o.fetch ?? ((url, init) => fetch(url, init));
  const wire = { fetch: fetcher, line: new Line(), signal: o.signal };
  const text = manifest ? await fetchSmall(manifest.url, wire) : null;
  const runtime = await unlessAborted(o.signal, runtimeOf(device, o.wasm));
  const results = await tune(runtime, text, o);
  const changed = results.filter((r) => r.tried > 0);
  const reason = o.keep ? await keepTuning(device, runtime.info, changed) : 'Not asked for.';
  if (o.signal?.aborted) throw aborted(o.signal, changed.length > 0 && o.keep, reason);
  return {
    device: runtime.info,
    results,
    passes: passesOf(results),
    kept: reason === undefined,
    ...(reason !== undefined && { reason }),
  };
}

/** The error of a search that was aborted; `found`: there was something to keep. */
function aborted(signal: AbortSignal, found: boolean, reason: string | undefined): LlamaError {
  const cause = signal.reason;
  if (!found) return new LlamaError('aborted', 'Aborted by the caller.', { cause });
  const kept = reason === undefined;
  const what = kept ? 'kept.' : `not kept. ${reason}`;
  const error = new LlamaError('aborted', `Aborted by the caller. What was found until then is ${what}`, { cause });
  return Object.assign(error, { kept, reason });
}

/** The search itself. An abort ends it with what was found. */
async function tune(
  runtime: Runtime,
  manifest: Uint8Array | null,
  o: ReturnType<typeof benchmarkOptions>,
): Promise<GoTuned[]> {
  let cancel = () => {};
  const report = new Callback(o.onProgress, () => cancel());
  const settled = onAbort(o.signal, () => cancel());
  try {
    const results = await runtime.wait(() =>
      runtime.api.tune({
        manifest,
        tokens: o.tokens,
        quick: o.quick,
        progress: (done, total, now) => report.call({ done, total, now }),
        onStart: (f) => {
          cancel = f;
          if (o.signal?.aborted) f();
        },
      }),
    );
    report.throwIfFailed();
    return results;
  } catch (e) {
    throwIfAborted(o.signal);
    throw report.failure ?? e;
  } finally {
    settled();
  }
}

function passesOf(results: readonly GoTuned[]): BenchmarkReport['passes'] {
  const passes = new Map<number, { tokens: number; before: number; after: number }>();
  for (const { tokens, uses, before, after } of results) {
    const pass = passes.get(tokens) ?? { tokens, before: 0, after: 0 };
    pass.before += uses * before;
    pass.after += uses * after;
    passes.set(tokens, pass);
  }
  return [...passes.values()];
}
