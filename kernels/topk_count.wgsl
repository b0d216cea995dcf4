// topk_count: second step: a histogram of how far below the largest logit the others are.
//   operands, launch and constants as in shared/topk.wgsl; bucket i counts distances from i·WIDTH to (i+1)·WIDTH
// with shared/topk.wgsl: VOCAB, SPAN, CAP, BUCKETS, LANES, GROUPS, OUT, x
// with shared/highest.wgsl: tops, highest
const WIDTH: f32 = 0.03125;

@group(0) @binding(1) var<storage, read> out: array<u32>;
@group(0) @binding(2) var<storage, read_write> hist: array<atomic<u32>>;

var<workgroup> local: array<atomic<u32>, BUCKETS>;

fn word(i: u32) -> u32 { return out[i]; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  for (var i = lane; i < BUCKETS; i += LANES) { atomicStore(&local[i], 0u); }
  let top = highest(group.y * OUT, lane);
  let end = min((group.x + 1u) * SPAN, VOCAB);
  for (var i = group.x * SPAN + lane; i < end; i += LANES) {
    let bucket = (top - x[group.y * VOCAB + i]) / WIDTH;
    if (bucket < f32(BUCKETS)) { atomicAdd(&local[u32(bucket)], 1u); }
  }
  workgroupBarrier();
  for (var i = lane; i < BUCKETS; i += LANES) {
    let n = atomicLoad(&local[i]);
    if (n > 0u) { atomicAdd(&hist[group.y * BUCKETS + i], n); }
  }
}
