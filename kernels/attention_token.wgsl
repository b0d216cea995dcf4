// attention_token: what rope and attention_split do, for one token in one dispatch. Each workgroup rotates its queries and
// the new key itself; one of those that share keys appends key and value to the cache, and none reads them there.
//   rows [1] (token, position, sequence, 0)   x: q [HEADS][DIM], k [KV_HEADS][DIM], v, f32   angles as in rope
//   kc, vc [sequence][KV_HEADS][CAP][DIM/8] vec4<u32>, float16   o, next: as in attention_split
//   one workgroup computes QUERIES heads that share keys, over one part: x = part + SPLITS·(head/QUERIES)
// with shared/rotated.wgsl: ROT, INTERLEAVED, partner, angle, rotated
// with shared/window.wgsl: WINDOW, CHUNK, first
// with shared/score.wgsl: SOFTCAP, ALIBI, ALIBI_SCALE, scored
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/hand_on.wgsl: kept, behind, keep, hand_on, hand_quad
// with shared/parts.wgsl: Part, part_of, slot, low, high
// with shared/packed.wgsl: packed
// with shared/positions.wgsl: OCTETS, SIDE, STEP, PAD, SCORES, TERMS, WEIGHTS, ACC, terms, scores, keys, values, read_keys, read_values, attend
// with shared/sides.wgsl: OUT, OUT_QUADS, outs, sides, side_by_side, add_sides
const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head, a multiple of 8, at most 8·LANES
const VALUE: u32 = 64u;    // DIM
const QUERIES: u32 = 2u;   // a divisor of HEADS/KV_HEADS
const SPLITS: u32 = 1u;
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const SCALE: f32 = 0.125;  // of queries
const LANES: u32 = 128u;
const EACH: u32 = 4u;      // positions per thread in a step
const SINKS: u32 = 0u;     // 1: each head's softmax has one more score, of which nothing is read
const LIMBS: u32 = 0u;     // 1: DIM is a multiple of 32

const TURNED: u32 = (QUERIES + 1u) * DIM;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> kc: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> vc: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> sinks: array<f32>; // if SINKS: [HEADS]
@group(0) @binding(6) var<storage, read_write> o: array<f32>;
@group(0) @binding(7) var<storage, read_write> next: array<u32>; // if LIMBS

var<workgroup> head: array<f32, TURNED>;   // the queries, then the key, as the product makes them
var<workgroup> turned: array<f32, TURNED>; // after the rotation
var<private> value: vec4<u32>;             // this octet of the new value

// four returns elements i to i+3 of what was rotated.
fn four(i: u32) -> vec4<f32> { return vec4<f32>(turned[i], turned[i + 1u], turned[i + 2u], turned[i + 3u]); }

fn key(octet: u32) -> vec4<u32> { return packed(four(QUERIES * DIM + 8u * octet), four(QUERIES * DIM + 8u * octet + 4u)); }

fn query_at(token: u32, head: u32, t: u32, quad: u32) -> vec4<f32> { return four(t * DIM + 4u * quad); }

fn key_at(at: u32) -> vec4<u32> { return kc[at]; }

fn value_at(at: u32) -> vec4<u32> { return vc[at]; }

fn new_key(cached: vec4<u32>, p: u32, position: u32, octet: u32) -> vec4<u32> {
  if (p < position) { return cached; }
  return key(octet);
}

fn new_value(cached: vec4<u32>, p: u32, position: u32, octet: u32) -> vec4<u32> {
  if (p < position) { return cached; }
  return value;
}

fn sink(head: u32) -> f32 { return sinks[head]; }

// rotate brings queries and key to turned; at is the first query's head.
fn rotate(at: u32, kv: u32, position: u32, lane: u32) {
  for (var i = lane; i < TURNED; i += LANES) {
    head[i] = x[i + select(at, HEADS + kv - QUERIES, i >= QUERIES * DIM) * DIM];
  }
  workgroupBarrier();
  for (var i = lane; i < TURNED; i += LANES) {
    let e = i % DIM;
    turned[i] = rotated(head[i], head[i - e + partner(e)], e, angle(e, position)) * select(SCALE, 1.0, i >= QUERIES * DIM);
  }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = group.x / SPLITS * QUERIES;
  let kv = at / (HEADS / KV_HEADS);
  let octet = lane % OCTETS;
  let part = part_of(rows[0], kv, group.x % SPLITS);
  read_keys(part, part.p0 + min(lane / OCTETS, SIDE - 1u), octet);
  read_values(part, part.p0 + min(lane / OCTETS, SIDE - 1u), octet);
  let v = (HEADS + KV_HEADS + kv) * DIM + 8u * octet;
  value = packed(vec4<f32>(x[v], x[v + 1u], x[v + 2u], x[v + 3u]), vec4<f32>(x[v + 4u], x[v + 5u], x[v + 6u], x[v + 7u]));
  rotate(at, kv, part.position, lane);
  if (group.x % SPLITS == 0u && at % (HEADS / KV_HEADS) == 0u && lane < OCTETS) {
    let to = (part.base + part.position % CAP) * OCTETS + octet;
    kc[to] = key(octet);
    vc[to] = value;
  }
  attend(part, at, 0u, group.x % SPLITS, lane);
}
