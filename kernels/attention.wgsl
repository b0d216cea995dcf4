// attention: o = Σ softmax(q·k)·v over the cached positions that a token sees, online softmax.
//   rows [t] (token, position, sequence, 0)   q [t][Q_STRIDE] f32, scaled   o [t][O_STRIDE] f32, zero past the heads
//   kc, vc as rope appends them   one workgroup makes one query head (x) of one token (y)
const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head, even, at most 4·LANES
const Q_STRIDE: u32 = 256u;
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const KV_BITS: u32 = 16u;
const WINDOW: u32 = 1024u; // positions that a token sees, itself included
const CHUNK: u32 = 0u;     // unless 0: only those of its own chunk of so many
const SOFTCAP: f32 = 0.0;  // unless 0: scores become c·tanh(score/c)
const LANES: u32 = 64u;

const PAIRS: u32 = DIM / 2u;
const PER_LANE: u32 = (PAIRS + LANES - 1u) / LANES; // pairs of the output that a lane keeps

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> kc: array<u32>;
@group(0) @binding(3) var<storage, read> vc: array<u32>;
@group(0) @binding(4) var<storage, read_write> o: array<f32>;

var<workgroup> query: array<vec2<f32>, PAIRS>;
var<workgroup> scores: array<f32, LANES>;
var<workgroup> shares: array<f32, LANES>;

fn key(i: u32) -> vec2<f32> {
  if (KV_BITS == 16u) { return unpack2x16float(kc[i]); }
  return bitcast<vec2<f32>>(vec2<u32>(kc[2u * i], kc[2u * i + 1u]));
}

fn value(i: u32) -> vec2<f32> {
  if (KV_BITS == 16u) { return unpack2x16float(vc[i]); }
  return bitcast<vec2<f32>>(vec2<u32>(vc[2u * i], vc[2u * i + 1u]));
}

// first returns the first position that the token at position p sees.
fn first(p: u32) -> u32 {
  var f = select(0u, p + 1u - WINDOW, p + 1u > WINDOW);
  if (CHUNK != 0u) { f = max(f, p - p % max(CHUNK, 1u)); }
  return f;
}

fn score(base: u32, position: u32) -> f32 {
  let at = (base + position % CAP) * PAIRS;
  var s = 0.0;
  for (var i = 0u; i < PAIRS; i++) { s += dot(query[i], key(at + i)); }
  if (SOFTCAP != 0.0) { s = SOFTCAP * tanh(clamp(s / SOFTCAP, -15.0, 15.0)); }
  return s;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = rows[group.y];
  let base = (row.z * KV_HEADS + group.x / (HEADS / KV_HEADS)) * CAP;
  let in = group.y * Q_STRIDE + group.x * DIM;
  for (var i = lane; i < PAIRS; i += LANES) { query[i] = vec2<f32>(q[in + 2u * i], q[in + 2u * i + 1u]); }
  workgroupBarrier();
  var acc: array<vec2<f32>, PER_LANE>;
  var top = -1e30;
  var sum = 0.0;
  let f = first(row.y);
  let tiles = (row.y - f) / LANES + 1u;
  for (var tile = 0u; tile < tiles; tile++) {
    let p0 = f + tile * LANES;
    let count = min(LANES, row.y + 1u - p0);
    var s = -1e30;
    if (lane < count) { s = score(base, p0 + lane); }
    scores[lane] = s;
    workgroupBarrier();
    var best = top;
    for (var j = 0u; j < count; j++) { best = max(best, scores[j]); }
    shares[lane] = exp(s - best);
    workgroupBarrier();
    let fade = exp(top - best);
    top = best;
    sum *= fade;
    for (var i = 0u; i < PER_LANE; i++) { acc[i] *= fade; }
    for (var j = 0u; j < count; j++) {
      sum += shares[j];
      let at = (base + (p0 + j) % CAP) * PAIRS;
      for (var i = 0u; i < PER_LANE; i++) {
        let pair = min(i * LANES + lane, PAIRS - 1u);
        acc[i] += shares[j] * value(at + pair);
      }
    }
    workgroupBarrier();
  }
  let out = group.y * O_STRIDE + group.x * DIM;
  for (var i = 0u; i < PER_LANE; i++) {
    let pair = i * LANES + lane;
    if (pair < PAIRS) {
      o[out + 2u * pair] = acc[i].x / sum;
      o[out + 2u * pair + 1u] = acc[i].y / sum;
    }
  }
  if (group.x == HEADS - 1u) {
    for (var e = HEADS * DIM + lane; e < O_STRIDE; e += LANES) { o[group.y * O_STRIDE + e] = 0.0; }
  }
}
