// attention_split: attention of single tokens, a part of the cached positions for each workgroup.
//   rows [t] (token, position, sequence, 0)   q [t][Q_STRIDE/4] vec4<f32>, scaled
//   kc, vc as rope appends them, float16, as vec4<u32>
//   SPLITS = 1: o [t][O_STRIDE] f32   else o [t][HEADS]: [SPLITS][DIM] Σ exp(s−m)·v, then [SPLITS] (Σ exp(s−m), m),
//   for attention_join
//   one workgroup makes QUERIES heads that share keys, over one part: x = part + SPLITS·(head/QUERIES), y = t
const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head, a multiple of 8, at most 8·LANES
const QUERIES: u32 = 2u;   // a divisor of HEADS/KV_HEADS
const SPLITS: u32 = 1u;
const Q_STRIDE: u32 = 256u;
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const WINDOW: u32 = 1024u; // positions that a token sees, itself included
const CHUNK: u32 = 0u;     // unless 0: only those of its own chunk of so many
const SOFTCAP: f32 = 0.0;  // unless 0: scores become c·tanh(score/c)
const LANES: u32 = 128u;   // a power of two

const OCTETS: u32 = DIM / 8u;       // vec4<u32> of a key
const SIDE: u32 = LANES / OCTETS;   // values that are read side by side
const IN: u32 = QUERIES * DIM / 4u;
const SCORES: u32 = QUERIES * LANES;
const OUT: u32 = SIDE * DIM;
const ACC: u32 = QUERIES * 2u;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> kc: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> vc: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> o: array<f32>;

var<workgroup> query: array<vec4<f32>, IN>;   // [query][DIM/4]
var<workgroup> scores: array<f32, SCORES>;    // [query][position], then their exponentials
var<workgroup> tops: array<f32, SCORES>;
var<workgroup> outs: array<f32, OUT>;         // [side][DIM]
var<workgroup> sides: array<f32, LANES>;      // sums of exponentials

fn first(p: u32) -> u32 {
  var f = select(0u, p + 1u - WINDOW, p + 1u > WINDOW);
  if (CHUNK != 0u) { f = max(f, p - p % max(CHUNK, 1u)); }
  return f;
}

// score fills in the scores of the key in row at, or of none.
fn score(at: u32, seen: bool, lane: u32) {
  var s: array<f32, QUERIES>;
  for (var i = 0u; i < OCTETS; i++) { // unroll
    let k = kc[at + i];
    let a = vec4<f32>(unpack2x16float(k.x), unpack2x16float(k.y));
    let b = vec4<f32>(unpack2x16float(k.z), unpack2x16float(k.w));
    for (var t = 0u; t < QUERIES; t++) { s[t] += dot(query[t * OCTETS * 2u + 2u * i], a) + dot(query[t * OCTETS * 2u + 2u * i + 1u], b); } // unroll
  }
  for (var t = 0u; t < QUERIES; t++) { // unroll
    if (SOFTCAP != 0.0) { s[t] = SOFTCAP * tanh(clamp(s[t] / SOFTCAP, -15.0, 15.0)); }
    scores[t * LANES + lane] = select(-1e30, s[t], seen);
    tops[t * LANES + lane] = select(-1e30, s[t], seen);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = rows[group.y];
  let head = group.x / SPLITS * QUERIES;
  let base = (row.z * KV_HEADS + head / (HEADS / KV_HEADS)) * CAP;
  let f = first(row.y);
  let each = (row.y - f + SPLITS) / SPLITS; // positions of a part
  let p0 = f + group.x % SPLITS * each;
  let end = min(p0 + each, row.y + 1u);
  for (var i = lane; i < IN; i += LANES) { query[i] = q[(group.y * Q_STRIDE + head * DIM) / 4u + i]; }
  workgroupBarrier();
  let octet = lane % OCTETS;
  let side = lane / OCTETS;
  var acc: array<vec4<f32>, ACC>;
  var sum: array<f32, QUERIES>;
  var best: array<f32, QUERIES>;
  for (var t = 0u; t < QUERIES; t++) { best[t] = -1e30; } // unroll
  for (var p = p0; p < end; p += LANES) {
    let mine = min(p + lane, end - 1u);
    score((base + mine % CAP) * OCTETS, p + lane < end, lane);
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if (lane < half) {
        for (var t = 0u; t < QUERIES; t++) { tops[t * LANES + lane] = max(tops[t * LANES + lane], tops[t * LANES + lane + half]); } // unroll
      }
    }
    workgroupBarrier();
    for (var t = 0u; t < QUERIES; t++) { // unroll
      let top = max(best[t], tops[t * LANES]);
      let fade = exp(best[t] - top);
      best[t] = top;
      sum[t] *= fade;
      acc[2u * t] *= fade;
      acc[2u * t + 1u] *= fade;
      scores[t * LANES + lane] = exp(scores[t * LANES + lane] - top);
    }
    workgroupBarrier();
    let count = min(LANES, end - p);
    for (var j = side; j < count && side < SIDE; j += SIDE) {
      let v = vc[(base + (p + j) % CAP) * OCTETS + octet];
      let a = vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
      let b = vec4<f32>(unpack2x16float(v.z), unpack2x16float(v.w));
      for (var t = 0u; t < QUERIES; t++) { // unroll
        let e = scores[t * LANES + j];
        sum[t] += e;
        acc[2u * t] += e * a;
        acc[2u * t + 1u] += e * b;
      }
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < QUERIES; t++) { // unroll
    if (side < SIDE) {
      for (var i = 0u; i < 4u; i++) {
        outs[side * DIM + 8u * octet + i] = acc[2u * t][i];
        outs[side * DIM + 8u * octet + 4u + i] = acc[2u * t + 1u][i];
      }
      if (octet == 0u) { sides[side] = sum[t]; }
    }
    workgroupBarrier();
    var all = 0.0;
    for (var s = 0u; s < SIDE; s++) { all += sides[s]; }
    let part = group.x % SPLITS;
    let to = (group.y * HEADS + head + t) * SPLITS * (DIM + 2u);
    for (var d = lane; d < DIM; d += LANES) {
      var out = 0.0;
      for (var s = 0u; s < SIDE; s++) { out += outs[s * DIM + d]; }
      if (SPLITS == 1u) { o[group.y * O_STRIDE + (head + t) * DIM + d] = out / all; } else { o[to + part * DIM + d] = out; }
    }
    if (SPLITS > 1u && lane == 0u) {
      o[to + SPLITS * DIM + 2u * part] = all;
      o[to + SPLITS * DIM + 2u * part + 1u] = best[t];
    }
    workgroupBarrier();
  }
}
