// limbs: stores vectors as limbs, see shared/limbs.wgsl, or prepares them for a product that normalizes: times g, with the squares
// of what they were.
//   x [t][STRIDE/4] vec4<f32>   g [STRIDE/4], read if SCALED = 1   next [t] limbs of WIDTH elements   one workgroup takes 4·LANES elements (x) of a token (y)
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/hand_on.wgsl: kept, behind, keep, hand_on, hand_quad
const WIDTH: u32 = 4096u;
const STRIDE: u32 = 4096u; // a multiple of 256, x is zero from WIDTH on
const SCALED: u32 = 0u;
const LANES: u32 = 64u;

const OUT_QUADS: u32 = LANES;
const BLOCKS: u32 = (WIDTH + 255u) / 256u * 8u;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>; // if SCALED
@group(0) @binding(2) var<storage, read_write> next: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let quad = group.x * LANES + lane;
  var four = vec4<f32>();
  for (var i = 0u; i < 4u; i++) { // unroll
    if (4u * quad + i < WIDTH) { four[i] = x[group.y * (STRIDE / 4u) + quad][i]; }
  }
  var scaled = four;
  if (SCALED == 1u) { scaled *= g[min(quad, STRIDE / 4u - 1u)]; }
  for (var i = 0u; i < 4u; i++) { keep(4u * lane + i, scaled[i], four[i] * four[i]); } // unroll
  workgroupBarrier();
  hand_on(1u, LANES, group.y, group.x * LANES / 8u, BLOCKS, lane);
}
