// highest returns the largest of all logits of the sequence whose out begins at o; word(i) reads out.
var<workgroup> tops: array<f32, LANES>;

fn highest(o: u32, lane: u32) -> f32 {
  var top = -3.4e38;
  for (var i = lane; i < GROUPS; i += LANES) { top = max(top, bitcast<f32>(word(o + 4u + 4u * i))); }
  tops[lane] = top;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { tops[lane] = max(tops[lane], tops[lane + half]); }
  }
  workgroupBarrier();
  return tops[0];
}
