// attention_join: puts together what attention_split has made of its parts.
//   parts [t][HEADS]: [SPLITS][DIM] Σ exp(s−m)·v, then [SPLITS] (Σ exp(s−m), m)   o [t][O_STRIDE] f32
//   one workgroup makes one head (x) of one token (y)
const HEADS: u32 = 4u;
const DIM: u32 = 64u;
const SPLITS: u32 = 8u;    // at most LANES
const O_STRIDE: u32 = 256u;
const LANES: u32 = 256u;   // a power of two

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> o: array<f32>;

var<workgroup> shares: array<f32, LANES>; // what a part's sums are multiplied with
var<workgroup> tops: array<f32, LANES>;
var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = (group.y * HEADS + group.x) * SPLITS * (DIM + 2u);
  let mine = at + SPLITS * DIM + 2u * min(lane, SPLITS - 1u);
  let top = select(-1e30, parts[mine + 1u], lane < SPLITS);
  tops[lane] = top;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { tops[lane] = max(tops[lane], tops[lane + half]); }
  }
  workgroupBarrier();
  let share = exp(top - tops[0]);
  shares[lane] = share;
  sums[lane] = select(0.0, share * parts[mine], lane < SPLITS);
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  workgroupBarrier();
  for (var d = lane; d < DIM; d += LANES) {
    var out = 0.0;
    for (var s = 0u; s < SPLITS; s++) { out += shares[s] * parts[at + s * DIM + d]; } // unroll
    o[group.y * O_STRIDE + group.x * DIM + d] = out / sums[0];
  }
}
