// sum: adds up one part per lane of a workgroup. A barrier must come before total is called again.
var<workgroup> sums: array<f32, LANES>;

fn total(lane: u32, part: f32) -> f32 {
  sums[lane] = part;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}
