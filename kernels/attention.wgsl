// attention: o = Σ softmax(q·k)·v over the cached positions that a token sees, online softmax.
//   rows [t] (token, position, sequence, 0)   q [t][Q_STRIDE] f32, scaled   o [t][O_STRIDE] f32, zero past the heads
//   kc, vc as rope appends them   one workgroup computes one query head (x) of QUERIES tokens (y); if there
//   are several, they belong to one sequence, at consecutive positions
// with shared/step.wgsl: Step
// with shared/window.wgsl: WINDOW, CHUNK, first
// with shared/score.wgsl: SOFTCAP, ALIBI, ALIBI_SCALE, scored
const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head, even
const VALUE: u32 = 64u;    // of a value, even; fewer than DIM: values are the first elements of keys, vc is not read
const QUERIES: u32 = 1u;
const Q_STRIDE: u32 = 256u;
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const KV_BITS: u32 = 16u;
const SINKS: u32 = 0u;     // 1: each head's softmax has one more score, of which nothing is read
const LANES: u32 = 64u;

const PAIRS: u32 = DIM / 2u;
const VALUE_PAIRS: u32 = VALUE / 2u;
const PER_LANE: u32 = (VALUE_PAIRS + LANES - 1u) / LANES; // pairs of an output in each lane
const KEPT: u32 = PER_LANE * QUERIES;
const IN: u32 = PAIRS * QUERIES;
const PARTS: u32 = LANES / QUERIES; // parts of a tile's keys, each with its own maximum

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> kc: array<u32>;
@group(0) @binding(3) var<storage, read> vc: array<u32>;
@group(0) @binding(4) var<storage, read> sinks: array<f32>; // if SINKS: [HEADS]
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<uniform> step: Step;

var<workgroup> query: array<array<vec2<f32>, QUERIES>, PAIRS>;
var<workgroup> scores: array<array<f32, QUERIES>, LANES>; // [key][query]
var<workgroup> tops: array<f32, LANES>;       // [part][query]
var<workgroup> best: array<f32, QUERIES>;     // the largest score so far
var<workgroup> fade: array<f32, QUERIES>;     // factor that a new best applies to the sums so far

fn key(i: u32) -> vec2<f32> {
  if (KV_BITS == 16u) { return unpack2x16float(kc[i]); }
  return bitcast<vec2<f32>>(vec2<u32>(kc[2u * i], kc[2u * i + 1u]));
}

fn value(i: u32) -> vec2<f32> {
  if (VALUE < DIM) { return key(i); }
  if (KV_BITS == 16u) { return unpack2x16float(vc[i]); }
  return bitcast<vec2<f32>>(vec2<u32>(vc[2u * i], vc[2u * i + 1u]));
}

// score fills in the scores of a head for the key at a position.
fn score(head: u32, base: u32, position: u32, newest: u32, lane: u32) {
  let at = (base + position % CAP) * PAIRS;
  var s: array<f32, QUERIES>;
  for (var i = 0u; i < PAIRS; i++) {
    let k = key(at + i);
    for (var t = 0u; t < QUERIES; t++) { s[t] += dot(query[i][t], k); } // unroll
  }
  for (var t = 0u; t < QUERIES; t++) { // unroll
    let p = newest + 1u + t - QUERIES; // the query's position; wraps around before the first
    let seen = newest + 1u + t >= QUERIES && position <= p && position >= first(p);
    scores[lane][t] = select(-1e30, scored(s[t], head, p - position), seen);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  // The queries are the QUERIES positions up to the newest; the last group repeats some of the group before it.
  let last = min((group.y + 1u) * QUERIES, step.n) - 1u;
  let row = rows[last];
  let base = (row.z * KV_HEADS + group.x / (HEADS / KV_HEADS)) * CAP;
  for (var i = lane; i < IN; i += LANES) {
    let t = max(last + 1u + i / PAIRS, QUERIES) - QUERIES;
    let in = t * Q_STRIDE + group.x * DIM + 2u * (i % PAIRS);
    query[i % PAIRS][i / PAIRS] = vec2<f32>(q[in], q[in + 1u]);
  }
  for (var t = lane; t < QUERIES; t += LANES) { best[t] = -1e30; }
  if (SINKS == 1u) {
    for (var t = lane; t < QUERIES; t += LANES) { best[t] = sinks[group.x]; }
  }
  workgroupBarrier();
  var acc: array<vec2<f32>, KEPT>; // [query][pair]
  var sum: array<f32, QUERIES>;
  for (var t = 0u; t < QUERIES; t++) { sum[t] = f32(SINKS); } // unroll
  let f = first(max(row.y + 1u, QUERIES) - QUERIES);
  let tiles = (row.y - f) / LANES + 1u;
  for (var tile = 0u; tile < tiles; tile++) {
    let p0 = f + tile * LANES;
    let count = min(LANES, row.y + 1u - p0);
    score(group.x, base, min(p0 + lane, row.y), row.y, lane);
    workgroupBarrier();
    var high = -1e30;
    for (var j = lane / QUERIES; j < count; j += PARTS) { high = max(high, scores[j][lane % QUERIES]); }
    tops[lane] = high;
    workgroupBarrier();
    if (lane < QUERIES) {
      var top = best[lane];
      for (var i = 0u; i < PARTS; i++) { top = max(top, tops[i * QUERIES + lane]); }
      fade[lane] = exp(best[lane] - top);
      best[lane] = top;
    }
    workgroupBarrier();
    for (var t = 0u; t < QUERIES; t++) { // unroll
      let s = scores[lane][t];
      scores[lane][t] = select(0.0, exp(s - best[t]), lane < count && s > -1e30);
      sum[t] *= fade[t];
      for (var i = 0u; i < PER_LANE; i++) { acc[t * PER_LANE + i] *= fade[t]; } // unroll
    }
    workgroupBarrier();
    for (var j = 0u; j < count; j++) {
      let at = (base + (p0 + j) % CAP) * PAIRS;
      for (var i = 0u; i < PER_LANE; i++) { // unroll
        let v = value(at + min(i * LANES + lane, VALUE_PAIRS - 1u));
        for (var t = 0u; t < QUERIES; t++) { acc[t * PER_LANE + i] += scores[j][t] * v; } // unroll
      }
      for (var t = 0u; t < QUERIES; t++) { sum[t] += scores[j][t]; } // unroll
    }
    workgroupBarrier();
  }
  for (var k = 0u; k < QUERIES; k++) { // unroll
    let t = last + 1u + k - QUERIES;
    if (last + 1u + k >= (group.y + 1u) * QUERIES) {
      for (var i = 0u; i < PER_LANE; i++) { // unroll
        let out = t * O_STRIDE + group.x * VALUE + 2u * (i * LANES + lane);
        if (i * LANES + lane < VALUE_PAIRS) {
          o[out] = acc[k * PER_LANE + i].x / sum[k];
          o[out + 1u] = acc[k * PER_LANE + i].y / sum[k];
        }
      }
      if (group.x == HEADS - 1u) {
        for (var e = HEADS * VALUE + lane; e < O_STRIDE; e += LANES) { o[t * O_STRIDE + e] = 0.0; }
      }
    }
  }
}
