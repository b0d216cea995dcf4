// topk_count: second step: a histogram of how far below the largest logit the others are.
//   operands as in topk_max; bucket i counts distances from i·WIDTH to (i+1)·WIDTH
const VOCAB: u32 = 4096u;
const SPAN: u32 = 1024u;
const CAP: u32 = 1024u;
const BUCKETS: u32 = 1024u;
const WIDTH: f32 = 0.03125;
const LANES: u32 = 256u;   // a power of two

const GROUPS: u32 = (VOCAB + SPAN - 1u) / SPAN;
const OUT: u32 = 4u + 4u * GROUPS + 2u * CAP;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> out: array<u32>;
@group(0) @binding(2) var<storage, read_write> hist: array<atomic<u32>>;

var<workgroup> local: array<atomic<u32>, BUCKETS>;
var<workgroup> tops: array<f32, LANES>;

// highest returns the largest of all logits.
fn highest(o: u32, lane: u32) -> f32 {
  var top = -3.4e38;
  for (var i = lane; i < GROUPS; i += LANES) { top = max(top, bitcast<f32>(out[o + 4u + 4u * i])); }
  tops[lane] = top;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { tops[lane] = max(tops[lane], tops[lane + half]); }
  }
  workgroupBarrier();
  return tops[0];
}

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
