// latent: a token's latent vector and what the keys of all heads share, to the cache; the ends of queries, rotated.
//   rows [t] (token, position, sequence, 0)   x [t][X_STRIDE] f32, from X0 on: the latent [RANK], what is shared [ROT]
//   q [t][Q_STRIDE] f32: queries [heads][DIM], of which the last ROT elements are rotated   angles as in rope
//   g [RANK]: norm weights   c [t][C_STRIDE] f32: the normalized latent
//   y [t][Y_STRIDE] f32: the ends, times SCALE, behind the first RANK elements of each head of RANK+ROT
//   kc [sequence][CAP][RANK+ROT], pairs of float16 (KV_BITS = 16) or f32 (32)
//   one workgroup computes what is cached (x = 0), or one head (x − 1), of one token (y)
// with shared/sum.wgsl: sums, total
// with shared/rotated.wgsl: ROT, INTERLEAVED, partner, angle, rotated
const DIM: u32 = 192u;       // of a query
const RANK: u32 = 128u;      // even
const X_STRIDE: u32 = 512u;
const X0: u32 = 256u;
const Q_STRIDE: u32 = 256u;
const C_STRIDE: u32 = 256u;
const Y_STRIDE: u32 = 768u;
const CAP: u32 = 1024u;      // positions in the cache; position p is in slot p mod CAP
const KV_BITS: u32 = 16u;
const EPS: f32 = 0.000001;
const SCALE: f32 = 0.125;
const LANES: u32 = 64u;      // a power of two

const CACHED: u32 = RANK + ROT; // elements for a position

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read_write> kc: array<u32>;

var<workgroup> head: array<f32, ROT>;     // what is rotated
var<workgroup> kept: array<f32, CACHED>; // what is cached

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = rows[group.y];
  let start = group.y * X_STRIDE + X0;
  for (var e = lane; e < ROT; e += LANES) {
    if (group.x == 0u) { head[e] = x[start + RANK + e]; } else { head[e] = q[group.y * Q_STRIDE + group.x * DIM - ROT + e]; }
  }
  var part = 0.0;
  for (var k = lane; k < RANK; k += LANES) { part += x[start + k] * x[start + k]; }
  let scale = 1.0 / sqrt(total(lane, part) / f32(RANK) + EPS);
  if (group.x > 0u) {
    let out = group.y * Y_STRIDE + group.x * CACHED - ROT;
    for (var e = lane; e < ROT; e += LANES) { y[out + e] = SCALE * rotated(head[e], head[partner(e)], e, angle(e, row.y)); }
    return;
  }
  for (var k = lane; k < RANK; k += LANES) {
    let v = x[start + k] * scale * g[k];
    kept[k] = v;
    c[group.y * C_STRIDE + k] = v;
  }
  for (var e = lane; e < ROT; e += LANES) { kept[RANK + e] = rotated(head[e], head[partner(e)], e, angle(e, row.y)); }
  workgroupBarrier();
  let slot = (row.z * CAP + row.y % CAP) * CACHED;
  for (var i = lane; i < CACHED / 2u; i += LANES) {
    let pair = vec2<f32>(kept[2u * i], kept[2u * i + 1u]);
    if (KV_BITS == 16u) {
      kc[slot / 2u + i] = pack2x16float(pair);
    } else {
      kc[slot + 2u * i] = bitcast<u32>(pair.x);
      kc[slot + 2u * i + 1u] = bitcast<u32>(pair.y);
    }
  }
}
