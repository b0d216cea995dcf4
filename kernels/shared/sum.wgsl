// sum: adds up what each lane of a workgroup brings. There must be a barrier before total is called again.
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
