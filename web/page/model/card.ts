// What a bundle's manifest says of it, for people.
import type { Stats } from '../../src/index.js';
import { bytes } from '../lib/format.js';

/** The part of a manifest that the card shows. */
export interface Manifest {
  id?: string;
  generator?: string;
  spec?: { max_positions?: number; layers?: unknown[]; hidden?: number; vocab?: number };
  source?: { files?: { name: string; size: number }[] };
  quantization?: { format?: string; block?: number; method?: string; bits?: number; rotate?: boolean };
  tensors?: { shape: number[]; length: number; type: string }[];
  notes?: string[];
  parity?: {
    pass?: boolean;
    runtime?: { max_abs: number; rel_rms: number };
    drift?: { mean_kld: number; top1: number; ppl: number; ppl_reference: number };
  };
}

export type Row = [name: string, value: string, look?: string];

/** Reads a manifest from its address, or from among files. */
export async function readManifest(source: string | readonly File[]): Promise<Manifest> {
  if (typeof source === 'string') {
    const response = await fetch(source);
    if (!response.ok) throw new Error(`${source}: the server answered ${response.status}`);
    return (await response.json()) as Manifest;
  }
  const file = source.find((f) => f.name === 'manifest.json');
  return JSON.parse((await file?.text()) ?? '{}') as Manifest;
}

/** Its rows. What the manifest does not say is not shown. */
export function cardRows(m: Manifest): Row[] {
  const q = m.quantization ?? {};
  const rows: Row[] = [];
  const format = [q.format, q.block && `blocks of ${q.block}`, q.method, q.rotate && 'rotated'].filter(Boolean);
  if (format.length > 0) rows.push(['Format', format.join(', ')]);
  const weights = (m.tensors ?? []).reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0);
  const stored = (m.tensors ?? []).reduce((n, t) => n + t.length, 0);
  if (weights > 0) {
    rows.push(['Bits per weight', ((8 * stored) / weights).toFixed(2)]);
    rows.push(['Weights', `${short(weights)}, ${bytes(stored)}`]);
  }
  if (m.spec?.layers) rows.push(['Layers', String(m.spec.layers.length)]);
  if (m.spec?.max_positions) rows.push(['Trained context', `${m.spec.max_positions.toLocaleString('en')} tokens`]);
  rows.push(...record(m.parity));
  if (m.generator) rows.push(['Made by', m.generator]);
  if (m.id) rows.push(['Bundle', m.id]);
  return rows;
}

/** What `verify` has recorded in the manifest. */
function record(p: Manifest['parity']): Row[] {
  const d = p?.drift;
  if (!p) return [['Drift', 'not measured: llama-webgpu verify --record']];
  const rows: Row[] = [];
  if (d) {
    rows.push(['Drift (KL divergence)', `${d.mean_kld.toPrecision(3)} nats`]);
    rows.push(['Same most likely token', `${(100 * d.top1).toFixed(1)} %`]);
    rows.push(['Perplexity', `${d.ppl.toFixed(2)}, before ${d.ppl_reference.toFixed(2)}`]);
  }
  if (p.runtime) rows.push(['Runtime', `relative RMS ${p.runtime.rel_rms.toExponential(1)}`]);
  rows.push(['Verified', p.pass ? '✓ passed' : '✗ failed', p.pass ? 'good' : 'bad']);
  return rows;
}

/** What is known of a model once it is loaded. */
export function loadedRows(s: Stats, cache: string): Row[] {
  const chosen = s.kernels
    .filter((k) => k.chosen)
    .map((k) => `${k.packing}: ${k.kernel.replace(/^matvec_/, '')}, ${k.speed.toFixed(1)}× as fast`);
  return [
    ['Context in use', `${s.contextTokens.toLocaleString('en')} tokens`],
    ['GPU', s.device.adapter],
    ['GPU memory', bytes(s.memoryBytes)],
    ['Kernels', chosen.join('; ') || 'baseline'],
    ['Cached', cache],
  ];
}

function short(n: number): string {
  for (const [unit, size] of [
    ['billion', 1e9],
    ['million', 1e6],
  ] as const)
    if (n >= size) return `${(n / size).toPrecision(3)} ${unit}`;
  return n.toLocaleString('en');
}
