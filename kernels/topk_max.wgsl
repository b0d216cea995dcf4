// topk_max: first of two steps from logits to candidates: the largest of each span, and of each of its parts.
//   operands, launch and constants as in shared/topk.wgsl
// with shared/topk.wgsl: VOCAB, SPAN, PARTS, CAP, LANES, GROUPS, TOPS, OUT, OWN, LEAST, x, logit
// with shared/sum.wgsl: sums, total
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read_write> tops: array<f32>;

var<workgroup> best: array<f32, LANES>;
var<workgroup> ids: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var own: array<f32, OWN>;
  for (var k = 0u; k < OWN; k++) { own[k] = logit(group, lane, k); } // unroll
  var top = LEAST;
  var id = group.x * SPAN;
  for (var k = 0u; k < OWN; k++) { // unroll
    if (own[k] > top) {
      top = own[k];
      id = group.x * SPAN + k * LANES + lane;
    }
  }
  best[lane] = top;
  ids[lane] = id;
  workgroupBarrier();
  for (var half = LANES; half > 0u; half /= 2u) {
    if (half < LANES && lane < half) {
      let o = lane + half;
      if (best[o] > best[lane] || (best[o] == best[lane] && ids[o] < ids[lane])) {
        best[lane] = best[o];
        ids[lane] = ids[o];
      }
    }
    if (half == PARTS && lane < PARTS) { tops[group.y * TOPS + group.x * PARTS + lane] = best[lane]; }
    workgroupBarrier();
  }
  var sum = 0.0;
  for (var k = 0u; k < OWN; k++) { sum += exp(own[k] - best[0]); } // unroll
  let all = total(lane, sum);
  if (lane == 0u) {
    let o = group.y * OUT;
    if (group.x == 0u) { out[o] = 0u; }
    out[o + 4u + 4u * group.x] = bitcast<u32>(best[0]);
    out[o + 5u + 4u * group.x] = ids[0];
    out[o + 6u + 4u * group.x] = bitcast<u32>(all);
  }
}
