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
// with shared/parts.wgsl: Part, part_of, slot, low, high
// with shared/positions.wgsl: OCTETS, SIDE, STEP, PAD, SCORES, TERMS, WEIGHTS, ACC, terms, scores, keys, values, read_keys, read_values, attend
// with shared/sides.wgsl: OUT, OUT_QUADS, outs, sides, side_by_side, add_sides
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

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> kc: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> vc: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> sinks: array<f32>; // if SINKS: [HEADS]
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<u32>; // if LIMBS

fn query_at(token: u32, head: u32, t: u32, quad: u32) -> vec4<f32> { return q[(token * Q_STRIDE + head * DIM) / 4u + quad]; }

fn key_at(at: u32) -> vec4<u32> { return kc[at]; }

fn value_at(at: u32) -> vec4<u32> { return vc[at]; }

fn new_key(cached: vec4<u32>, p: u32, position: u32, octet: u32) -> vec4<u32> { return cached; }

fn new_value(cached: vec4<u32>, p: u32, position: u32, octet: u32) -> vec4<u32> { return cached; }

fn sink(head: u32) -> f32 { return sinks[head]; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let head = group.x / SPLITS * QUERIES;
  let part = part_of(rows[group.y], head / (HEADS / KV_HEADS), group.x % SPLITS);
  let from_side = part.p0 + min(lane / OCTETS, SIDE - 1u);
  read_keys(part, from_side, lane % OCTETS);
  if (VALUE == DIM) { read_values(part, from_side, lane % OCTETS); }
  attend(part, head, group.y, group.x % SPLITS, lane);
}
