/** How far logits [tokens][vocab] are from a reference. */
export interface Parity {
  maxAbs: number;
  relRMS: number; // of the differences, relative to the reference's logits
  kld: number; // mean over tokens, nats
  same: number; // tokens with the same largest logit
  pass: boolean;
}

/** The largest relRMS of two implementations that agree. */
export const bound = 1e-3;

export function compare(reference: Float32Array, logits: Float32Array, tokens: number): Parity {
  if (reference.length !== logits.length)
    throw new Error(`${logits.length} logits here, but ${reference.length} on the server`);
  const vocab = reference.length / tokens;
  const p: Parity = { maxAbs: 0, relRMS: 0, kld: 0, same: 0, pass: false };
  let error = 0;
  let power = 0;
  for (let t = 0; t < tokens; t++) {
    const a = reference.subarray(t * vocab, (t + 1) * vocab);
    const b = logits.subarray(t * vocab, (t + 1) * vocab);
    for (let i = 0; i < vocab; i++) {
      const d = b[i]! - a[i]!;
      p.maxAbs = Math.max(p.maxAbs, Math.abs(d));
      error += d * d;
      power += a[i]! * a[i]!;
    }
    p.kld += divergence(a, b) / tokens;
    if (largest(a) === largest(b)) p.same++;
  }
  p.relRMS = Math.sqrt(error / power);
  p.pass = p.relRMS <= bound;
  return p;
}

function largest(x: Float32Array): number {
  return x.reduce((best, v, i) => (v > x[best]! ? i : best), 0);
}

/** Σ p·(ln p − ln q) of the two distributions. */
function divergence(a: Float32Array, b: Float32Array): number {
  const ma = a[largest(a)]!;
  const mb = b[largest(b)]!;
  let za = 0;
  let zb = 0;
  let s = 0;
  for (let i = 0; i < a.length; i++) {
    const e = Math.exp(a[i]! - ma);
    za += e;
    zb += Math.exp(b[i]! - mb);
    s += e * (a[i]! - ma - (b[i]! - mb));
  }
  return Math.max(0, s / za - Math.log(za) + Math.log(zb));
}
