// attention_split: attention of single tokens, a part of the cached positions for each workgroup.
//   rows [t] (token, position, sequence, 0)   q [t][Q_STRIDE/4] vec4<f32>, scaled
//   kc, vc as rope appends them, float16, as vec4<u32>
//   SPLITS = 1: o [t][O_STRIDE] f32, next [t] the same as limbs if LIMBS = 1   else o [t][HEADS]: [SPLITS][VALUE] Σ exp(s−m)·v, then [SPLITS] (Σ exp(s−m), m),
//   for attention_join
//   one workgroup computes QUERIES heads that share keys, over one part: x = part + SPLITS·(head/QUERIES), y = t
// with shared/window.wgsl: WINDOW, CHUNK, first
// with shared/score.wgsl: SOFTCAP, ALIBI, ALIBI_SCALE, scored
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/hand_on.wgsl: kept, behind, keep, hand_on, hand_quad
const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head, a multiple of 8, at most 8·LANES
const VALUE: u32 = 64u;    // of a value, a multiple of 8; fewer than DIM: values are the first elements of keys, vc is not read
const QUERIES: u32 = 2u;   // a divisor of HEADS/KV_HEADS
const SPLITS: u32 = 1u;
const Q_STRIDE: u32 = 256u;
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const LANES: u32 = 128u;
const EACH: u32 = 4u;      // positions per thread in a step
const SINKS: u32 = 0u;     // 1: each head's softmax has one more score, of which nothing is read
const LIMBS: u32 = 0u;     // 1: VALUE is a multiple of 32

const OCTETS: u32 = DIM / 8u;       // vec4<u32> of a key or value, one per thread
const SIDE: u32 = LANES / OCTETS;   // keys that are read side by side
const STEP: u32 = SIDE * EACH;      // positions
const PAD: u32 = OCTETS | 1u;       // so that threads of neighboring positions read different banks
const SCORES: u32 = QUERIES * STEP;
const TERMS: u32 = SCORES * PAD;
const WEIGHTS: u32 = QUERIES * EACH;
const OUT: u32 = SIDE * DIM;
const ACC: u32 = QUERIES * 2u;
const OUT_QUADS: u32 = LIMBS * VALUE / 4u + 1u;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> kc: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> vc: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> sinks: array<f32>; // [HEADS]
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<u32>;

var<workgroup> terms: array<f32, TERMS>;   // of the scores: [query][position][octet]
var<workgroup> scores: array<f32, SCORES>; // [query][position]
var<workgroup> outs: array<f32, OUT>;      // [side][DIM]
var<workgroup> sides: array<vec2<f32>, SIDE>; // per side: Σ exp(s−best), best

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = rows[group.y];
  let head = group.x / SPLITS * QUERIES;
  let base = (row.z * KV_HEADS + head / (HEADS / KV_HEADS)) * CAP;
  let f = first(row.y);
  let each = (row.y - f + SPLITS) / SPLITS; // positions of a part
  let p0 = f + group.x % SPLITS * each;
  let end = min(p0 + each, row.y + 1u);
  let octet = lane % OCTETS;
  let side = min(lane / OCTETS, SIDE - 1u);
  let counts = lane < SIDE * OCTETS;
  var query: array<vec4<f32>, ACC>; // this octet of each query
  for (var t = 0u; t < QUERIES; t++) { // unroll
    let at = (group.y * Q_STRIDE + (head + t) * DIM) / 4u + 2u * octet;
    query[2u * t] = q[at];
    query[2u * t + 1u] = q[at + 1u];
  }
  var acc: array<vec4<f32>, ACC>; // Σ exp(s−best)·v over this side's positions
  var sum: array<f32, QUERIES>;
  var best: array<f32, QUERIES>;
  var keys: array<vec4<u32>, EACH>;
  var values: array<vec4<u32>, EACH>;
  var weights: array<f32, WEIGHTS>; // [query][position of this side]
  for (var t = 0u; t < QUERIES; t++) { best[t] = -1e30; } // unroll
  for (var p = p0; p < end; p += STEP) {
    for (var i = 0u; i < EACH; i++) { // unroll
      let at = (base + min(p + i * SIDE + side, end - 1u) % CAP) * OCTETS + octet;
      keys[i] = kc[at];
      if (VALUE < DIM) { values[i] = keys[i]; } else { values[i] = vc[at]; }
    }
    for (var i = 0u; i < EACH; i++) { // unroll
      let a = vec4<f32>(unpack2x16float(keys[i].x), unpack2x16float(keys[i].y));
      let b = vec4<f32>(unpack2x16float(keys[i].z), unpack2x16float(keys[i].w));
      for (var t = 0u; t < QUERIES; t++) { // unroll
        let term = dot(query[2u * t], a) + dot(query[2u * t + 1u], b);
        if (counts) { terms[(t * STEP + i * SIDE + side) * PAD + octet] = term; }
      }
    }
    workgroupBarrier();
    for (var s = lane; s < SCORES; s += LANES) {
      var score = 0.0;
      for (var i = 0u; i < OCTETS; i++) { score += terms[s * PAD + i]; } // unroll
      scores[s] = select(-1e30, scored(score, head + s / STEP, row.y - (p + s % STEP)), p + s % STEP < end);
    }
    workgroupBarrier();
    for (var t = 0u; t < QUERIES; t++) { // unroll
      var top = best[t];
      for (var i = 0u; i < EACH; i++) { // unroll
        weights[t * EACH + i] = scores[t * STEP + i * SIDE + side];
        top = max(top, weights[t * EACH + i]);
      }
      let fade = exp(best[t] - top);
      best[t] = top;
      sum[t] *= fade;
      acc[2u * t] *= fade;
      acc[2u * t + 1u] *= fade;
      for (var i = 0u; i < EACH; i++) { // unroll
        weights[t * EACH + i] = exp(weights[t * EACH + i] - top);
        sum[t] += weights[t * EACH + i];
      }
    }
    for (var i = 0u; i < EACH; i++) { // unroll
      let a = vec4<f32>(unpack2x16float(values[i].x), unpack2x16float(values[i].y));
      let b = vec4<f32>(unpack2x16float(values[i].z), unpack2x16float(values[i].w));
      for (var t = 0u; t < QUERIES; t++) { // unroll
        acc[2u * t] += weights[t * EACH + i] * a;
        acc[2u * t + 1u] += weights[t * EACH + i] * b;
      }
    }
  }
  for (var t = 0u; t < QUERIES; t++) { // unroll
    if (counts) {
      for (var i = 0u; i < 4u; i++) { // unroll
        outs[side * DIM + 8u * octet + i] = acc[2u * t][i];
        outs[side * DIM + 8u * octet + 4u + i] = acc[2u * t + 1u][i];
      }
      if (octet == 0u) { sides[side] = vec2<f32>(sum[t], best[t]); }
    }
    workgroupBarrier();
    var top = sides[0].y;
    for (var s = 1u; s < SIDE; s++) { top = max(top, sides[s].y); }
    let part = group.x % SPLITS;
    var none = 0.0; // what the sink adds to the sum, in the first part
    if (SINKS == 1u && part == 0u) {
      top = max(top, sinks[head + t]);
      none = exp(sinks[head + t] - top);
    }
    var all = none;
    let to = (group.y * HEADS + head + t) * SPLITS * (VALUE + 2u);
    for (var d = lane; d < VALUE; d += LANES) {
      var out = 0.0;
      all = none;
      for (var s = 0u; s < SIDE; s++) {
        let share = exp(sides[s].y - top);
        out += outs[s * DIM + d] * share;
        all += sides[s].x * share;
      }
      if (SPLITS == 1u) { o[group.y * O_STRIDE + (head + t) * VALUE + d] = out / all; } else { o[to + part * VALUE + d] = out; }
      if (LIMBS == 1u) { keep(d, out / all, 0.0); }
    }
    if (SPLITS > 1u && lane == 0u) {
      o[to + SPLITS * VALUE + 2u * part] = all;
      o[to + SPLITS * VALUE + 2u * part + 1u] = top;
    }
    workgroupBarrier();
    if (LIMBS == 1u) { hand_on(1u, VALUE / 4u, group.y, (head + t) * VALUE / 32u, O_STRIDE / 32u, lane); }
  }
}
