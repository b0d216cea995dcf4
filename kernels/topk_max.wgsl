// topk_max: first of three steps from logits to candidates: the largest of each span.
//   operands, launch and constants as in shared/topk.wgsl; hist is cleared
// with shared/topk.wgsl: VOCAB, SPAN, CAP, BUCKETS, LANES, GROUPS, OUT, x
// with shared/sum.wgsl: sums, total
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read_write> hist: array<u32>;

var<workgroup> best: array<f32, LANES>;
var<workgroup> ids: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  for (var i = group.x * LANES + lane; i < BUCKETS; i += GROUPS * LANES) { hist[group.y * BUCKETS + i] = 0u; }
  let end = min((group.x + 1u) * SPAN, VOCAB);
  var top = -3.4e38;
  var id = group.x * SPAN;
  for (var i = group.x * SPAN + lane; i < end; i += LANES) {
    let v = x[group.y * VOCAB + i];
    if (v > top) {
      top = v;
      id = i;
    }
  }
  best[lane] = top;
  ids[lane] = id;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      let o = lane + half;
      if (best[o] > best[lane] || (best[o] == best[lane] && ids[o] < ids[lane])) {
        best[lane] = best[o];
        ids[lane] = ids[o];
      }
    }
    workgroupBarrier();
  }
  var sum = 0.0;
  for (var i = group.x * SPAN + lane; i < end; i += LANES) { sum += exp(x[group.y * VOCAB + i] - best[0]); }
  let all = total(lane, sum);
  if (lane == 0u) {
    let o = group.y * OUT;
    if (group.x == 0u) { out[o] = 0u; }
    out[o + 4u + 4u * group.x] = bitcast<u32>(best[0]);
    out[o + 5u + 4u * group.x] = ids[0];
    out[o + 6u + 4u * group.x] = bitcast<u32>(all);
  }
}
