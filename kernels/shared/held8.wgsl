// held8: activations and sums of matvec_slices in workgroup memory, and units in registers.
// keep_limbs writes four words of limbs to a panel, in the order of codes.
fn keep_limbs(panel: u32, e: u32, four: vec4<u32>) {
  let at = e / 4u % 16u * PITCH + e % 4u + e % X_EACH / 64u * 16u;
  for (var c = 0u; c < 4u; c++) { ws[panel % W_PANELS][at + c * 4u] = bitcast<i32>(four[c]); } // unroll
}

// token returns the first token of a thread. Those of the other half of a subgroup are four apart, which lie in different banks.
fn token(lane: u32) -> u32 {
  let e = lane / 32u % SLICES * EACH;
  return e / 4u * 8u + lane % 32u / 16u * 4u + e % 4u;
}

// whole returns the sum of a slice of columns, of row lane % 16 and token t + j.
fn whole(slice: u32, t: u32, j: u32, lane: u32) -> f32 {
  return f32(ws[SLICES + slice][t % 16u / EACH * (EACH * SUM_PITCH) + t / 16u % WIDE * 16u + j * SUM_PITCH + lane % 16u]);
}

fn unit_at(s: u32, t: u32) -> vec2<f32> {
  let pair = units_at(s, t / 2u);
  return select(pair.xy, pair.zw, t % 2u == 1u);
}
