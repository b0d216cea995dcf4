// Helpers of the suite.
import { load } from 'llama-webgpu';
import { gpuDevice } from 'llama-webgpu/device';

export const base = new URL('/', globalThis.location.href);
export const at = (path) => new URL(path, base).href;
export const node = globalThis.process?.versions?.node !== undefined;

export function check(ok, message) {
  if (!ok) throw new Error(message);
}

export function equal(got, want, what) {
  const [g, w] = [got, want].map((v) => JSON.stringify(v));
  check(g === w, `${what}: got ${g}, want ${w}`);
}

/** Runs f, which must fail with this code; returns the error. */
export async function fails(code, f) {
  try {
    await f();
  } catch (e) {
    check(e.code === code, `want an error with code ${code}, got ${e.code}: ${e.message}`);
    return e;
  }
  throw new Error(`want an error with code ${code}, got none`);
}

export async function all(pieces) {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

export async function expected() {
  return (await fetch(at('/test/expected.json'))).json();
}

let shared;
/** The device that most tests share: kernels are compiled once. */
export const device = () => (shared ??= gpuDevice());

/** Loads without a cache, on the shared device. */
export const open = async (path, options = {}) =>
  load(at(path), { device: await device(), cache: false, maxSeqLen: 256, ...options });

export function empty(memory) {
  const left = Object.entries(memory).filter(([purpose]) => purpose !== 'staging');
  check(left.length === 0, `after dispose the GPU still holds ${JSON.stringify(left)}`);
}

/** The RMS of the differences, relative to that of the reference. */
export function relRMS(got, want) {
  let d = 0;
  let p = 0;
  for (let i = 0; i < want.length; i++) {
    d += (got[i] - want[i]) ** 2;
    p += want[i] ** 2;
  }
  return Math.sqrt(d / p);
}

/** Runs code as a module. */
export async function importText(code) {
  if (!node) return import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  const { rm, writeFile } = await import('node:fs/promises');
  const file = new URL(`./article-${process.pid}.mjs`, import.meta.url); // in this directory, where Node finds the package
  await writeFile(file, code);
  return import(file).finally(() => rm(file));
}
