// attention_join: combines the partial results of attention_split.
//   parts [t][HEADS]: [SPLITS][DIM] Σ exp(s−m)·v, then [SPLITS] (Σ exp(s−m), m)
//   o [t][O_STRIDE] f32, next [t] the same as limbs if LIMBS = 1   one workgroup computes one head (x) of one token (y)
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/hand_on.wgsl: kept, behind, keep, hand_on, hand_quad
const HEADS: u32 = 4u;
const DIM: u32 = 64u;
const SPLITS: u32 = 8u;    // at most LANES
const O_STRIDE: u32 = 256u;
const LANES: u32 = 128u;
const LIMBS: u32 = 0u;     // 1: DIM is a multiple of 32

const OUT_QUADS: u32 = LIMBS * DIM / 4u + 1u;

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> o: array<f32>;
@group(0) @binding(2) var<storage, read_write> next: array<u32>; // if LIMBS

var<workgroup> ends: array<vec2<f32>, SPLITS>; // per part: Σ exp(s−m), m
var<workgroup> shares: array<f32, SPLITS>;     // factor of a part's sums

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = (group.y * HEADS + group.x) * SPLITS * (DIM + 2u);
  if (lane < SPLITS) { ends[lane] = vec2<f32>(parts[at + SPLITS * DIM + 2u * lane], parts[at + SPLITS * DIM + 2u * lane + 1u]); }
  workgroupBarrier();
  var top = -1e30;
  for (var s = 0u; s < SPLITS; s++) { top = max(top, ends[s].y); } // unroll
  if (lane < SPLITS) { shares[lane] = exp(ends[lane].y - top); }
  workgroupBarrier();
  var sum = 0.0;
  for (var s = 0u; s < SPLITS; s++) { sum += shares[s] * ends[s].x; } // unroll
  for (var d = lane; d < DIM; d += LANES) {
    var out = 0.0;
    for (var s = 0u; s < SPLITS; s++) { out += shares[s] * parts[at + s * DIM + d]; } // unroll
    o[group.y * O_STRIDE + group.x * DIM + d] = out / sum;
    if (LIMBS == 1u) { keep(d, out / sum, 0.0); }
  }
  if (LIMBS == 0u) { return; }
  workgroupBarrier();
  hand_on(1u, DIM / 4u, group.y, group.x * DIM / 32u, O_STRIDE / 32u, lane);
}
