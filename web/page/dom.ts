// The elements of the page, and text in them.
import type { LlamaError } from '../src/errors.js';

export const $ = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
export const input = (id: string) => $<HTMLInputElement>(id);
export const button = (id: string) => $<HTMLButtonElement>(id);

export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let i = 0;
  for (; n >= 1000 && i < 3; i++) n /= 1000;
  return `${n.toFixed(n < 10 && i > 0 ? 1 : 0)} ${units[i]}`;
}

const titles: Record<string, string> = {
  corrupt: 'The model is damaged',
  'not-found': 'Model not found',
  network: 'The server cannot be reached',
  'out-of-memory': 'Not enough GPU memory',
  'too-large': 'The model is too large for this GPU',
  'device-lost': 'The GPU was lost',
  'unsupported-version': 'Unsupported version',
  'invalid-argument': 'Invalid request',
  'webgpu-unavailable': 'WebGPU is not available',
  'no-adapter': 'No GPU',
};

export function complain(e: unknown): void {
  const error = e as LlamaError;
  if (error.code === 'aborted') return;
  $('alert-title').textContent = titles[error.code] ?? 'Something went wrong';
  $('alert-text').textContent = error.message;
  $('alert').hidden = false;
}

export function facts(list: HTMLElement, rows: [name: string, value: string, look?: string][]): void {
  list.replaceChildren(
    ...rows.flatMap(([name, value, look]) => {
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      dt.textContent = name;
      dd.textContent = value;
      if (look) dd.className = look;
      return [dt, dd];
    }),
  );
  list.hidden = false;
}
