// topk_pick: third step: appends the logits of the highest buckets that hold at least K together.
//   operands as in topk_max; the count goes on past CAP if there are more than fit
const VOCAB: u32 = 4096u;
const SPAN: u32 = 1024u;
const CAP: u32 = 1024u;
const BUCKETS: u32 = 1024u;
const WIDTH: f32 = 0.03125;
const K: u32 = 64u;
const LANES: u32 = 256u;

const GROUPS: u32 = (VOCAB + SPAN - 1u) / SPAN;
const OUT: u32 = 4u + 4u * GROUPS + 2u * CAP;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> hist: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var last = 0u; // the last bucket that is taken
  for (var seen = hist[group.y * BUCKETS]; seen < K && last + 1u < BUCKETS; seen += hist[group.y * BUCKETS + last]) { last++; }
  let o = group.y * OUT;
  var top = -3.4e38;
  for (var i = 0u; i < GROUPS; i++) { top = max(top, bitcast<f32>(atomicLoad(&out[o + 4u + 4u * i]))); }
  let end = min((group.x + 1u) * SPAN, VOCAB);
  for (var i = group.x * SPAN + lane; i < end; i += LANES) {
    let v = x[group.y * VOCAB + i];
    if ((top - v) / WIDTH < f32(last + 1u)) {
      let n = atomicAdd(&out[o], 1u);
      if (n < CAP) {
        atomicStore(&out[o + 4u + 4u * GROUPS + 2u * n], i);
        atomicStore(&out[o + 5u + 4u * GROUPS + 2u * n], bitcast<u32>(v));
      }
    }
  }
}
