// attention_join: puts together what attention_split has made of its parts.
//   parts [t][HEADS]: [SPLITS][DIM] Σ exp(s−m)·v, then [SPLITS] (Σ exp(s−m), m)   o [t][O_STRIDE] f32
//   one workgroup makes one head (x) of one token (y)
const HEADS: u32 = 4u;
const DIM: u32 = 64u;
const SPLITS: u32 = 8u;
const O_STRIDE: u32 = 256u;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> o: array<f32>;

var<workgroup> shares: array<f32, SPLITS>; // what a part's sums are multiplied with

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = (group.y * HEADS + group.x) * SPLITS * (DIM + 2u);
  let sums = at + SPLITS * DIM;
  var best = -1e30;
  for (var s = 0u; s < SPLITS; s++) { best = max(best, parts[sums + 2u * s + 1u]); }
  for (var s = lane; s < SPLITS; s += LANES) { shares[s] = exp(parts[sums + 2u * s + 1u] - best); }
  workgroupBarrier();
  var all = 0.0;
  for (var s = 0u; s < SPLITS; s++) { all += shares[s] * parts[sums + 2u * s]; }
  for (var d = lane; d < DIM; d += LANES) {
    var out = 0.0;
    for (var s = 0u; s < SPLITS; s++) { out += shares[s] * parts[at + s * DIM + d]; }
    o[group.y * O_STRIDE + group.x * DIM + d] = out / all;
  }
}
