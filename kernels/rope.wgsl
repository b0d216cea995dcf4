// rope: splits a token's projections into heads: normalizes and rotates queries and
// keys, scales queries, appends keys and values to the cache.
//   rows [t] (token, position, sequence, 0)   x [t][X_STRIDE] f32: q [HEADS][DIM], k [KV_HEADS][DIM], v
//   g: norm weights of q, then of k   q [t][Q_STRIDE] f32
//   kc, vc [sequence][KV_HEADS][CAP][DIM/2] u32 pairs of float16 (KV_BITS = 16), [DIM] f32 (32)
//   one workgroup computes one head (x: queries, keys, values) of one token (y)
// with shared/sum.wgsl: sums, total
// with shared/rotated.wgsl: ROT, INTERLEAVED, partner, angle, rotated
const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;        // of a head, even
const X_STRIDE: u32 = 512u;
const Q_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;      // positions in the cache; position p is in slot p mod CAP
const KV_BITS: u32 = 16u;
const NORM: u32 = 0u;        // 0 none, 1 each head with g [DIM], 2 the projection with g, 3 each head without g, after the rotation, 4 each head with its part of g [HEADS+KV_HEADS][DIM], 5 as 1, after the rotation
const V_NORM: u32 = 0u;      // 1: each value is normalized by itself, without g
const OF_KEYS: u32 = 0u;     // 1: x has no v; values are made of its k
const CENTER: u32 = 0u;      // 1: before the rotation, the mean is subtracted, as LayerNorm does
const CLIP: f32 = 0.0;       // unless 0: elements are bounded by ±CLIP, before the rotation
const EPS: f32 = 0.00001;
const SCALE: f32 = 0.125;    // of queries
const TEMP_FLOOR: u32 = 0u;  // unless 0: queries ·= 1 + TEMP_SCALE·ln(1 + ⌊(position+TEMP_FROM)/TEMP_FLOOR⌋)
const TEMP_FROM: u32 = 1u;
const TEMP_SCALE: f32 = 0.1;
const LANES: u32 = 64u;      // a power of two

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> kc: array<u32>;
@group(0) @binding(6) var<storage, read_write> vc: array<u32>;

var<workgroup> head: array<f32, DIM>;
var<workgroup> turned: array<f32, DIM>; // after the rotation

// inverse returns 1/√(Σ/n+EPS), Σ the sum of the lanes' parts.
fn inverse(lane: u32, part: f32, n: u32) -> f32 {
  return 1.0 / sqrt(total(lane, part) / f32(n) + EPS);
}

fn temperature(position: u32) -> f32 {
  if (TEMP_FLOOR == 0u) { return 1.0; }
  return 1.0 + TEMP_SCALE * log(1.0 + f32((position + TEMP_FROM) / max(TEMP_FLOOR, 1u)));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = rows[group.y];
  let isQ = group.x < HEADS;
  let isV = group.x >= HEADS + KV_HEADS;
  let in = group.y * X_STRIDE;
  let own = in + (group.x - select(0u, KV_HEADS, isV && OF_KEYS == 1u)) * DIM;
  var scale = 1.0;
  var mean = 0.0;
  if (select(NORM == 1u || NORM == 2u || NORM == 4u, V_NORM == 1u, isV)) {
    let all = NORM == 2u && !isV; // all heads together
    let start = select(own, in + select(HEADS * DIM, 0u, isQ), all);
    let n = select(DIM, select(KV_HEADS, HEADS, isQ) * DIM, all);
    var part = 0.0;
    if (CENTER == 1u) {
      for (var k = lane; k < n; k += LANES) { part += x[start + k]; }
      mean = total(lane, part) / f32(n);
      workgroupBarrier();
      part = 0.0;
    }
    for (var k = lane; k < n; k += LANES) {
      let d = x[start + k] - mean;
      part += d * d;
    }
    scale = inverse(lane, part, n);
  }
  for (var e = lane; e < DIM; e += LANES) {
    var v = (x[own + e] - mean) * scale;
    if (NORM == 1u && !isV) { v *= g[select(DIM, 0u, isQ) + e]; }
    if ((NORM == 2u || NORM == 4u) && !isV) { v *= g[group.x * DIM + e]; }
    if (CLIP != 0.0) { v = clamp(v, -CLIP, CLIP); }
    head[e] = v;
  }
  workgroupBarrier();
  var part = 0.0;
  for (var e = lane; e < DIM; e += LANES) {
    var v = head[e];
    if (!isV) { v = rotated(head[e], head[partner(e)], e, angle(e, row.y)); }
    turned[e] = v;
    part += v * v;
  }
  workgroupBarrier();
  scale = 1.0;
  if ((NORM == 3u || NORM == 5u) && !isV) { scale = inverse(lane, part, DIM); }
  if (isQ) { scale *= SCALE * temperature(row.y); }
  let kv = (group.x - HEADS) % KV_HEADS;
  let slot = ((row.z * KV_HEADS + kv) * CAP + row.y % CAP) * (DIM / 2u);
  for (var i = lane; i < DIM / 2u; i += LANES) {
    var pair = vec2<f32>(turned[2u * i], turned[2u * i + 1u]) * scale;
    if (NORM == 5u && !isV) {
      let at = select(DIM, 0u, isQ) + 2u * i;
      pair *= vec2<f32>(g[at], g[at + 1u]);
    }
    if (isQ) {
      let o = group.y * Q_STRIDE + group.x * DIM + 2u * i;
      q[o] = pair.x;
      q[o + 1u] = pair.y;
    } else if (KV_BITS == 16u) {
      put(isV, slot + i, pack2x16float(pair));
    } else {
      put(isV, 2u * (slot + i), bitcast<u32>(pair.x));
      put(isV, 2u * (slot + i) + 1u, bitcast<u32>(pair.y));
    }
  }
}

// put stores a word of the values or keys.
fn put(value: bool, i: u32, word: u32) { if (value) { vc[i] = word; } else { kc[i] = word; } }
