// kept8: what matvec_int8 has in workgroup memory beside codes. Indices are taken modulo what they are below anyway, as in codes8.
// keep_limbs writes four words of limbs to a panel, in the order of codes.
fn keep_limbs(panel: u32, e: u32, four: vec4<u32>) {
  let in = e % X_EACH;
  let at = in / 4u % 16u * PITCH + in % 4u / TURNS * (CHUNK / 4u) + in % 4u % TURNS + in / 64u * (4u * TURNS);
  for (var c = 0u; c < 4u; c++) { // unroll
    xs[(panel + e / X_EACH) % ALL_X][at + c * TURNS] = bitcast<i32>(four[c]);
  }
}

// whole returns sum k of a thread in a tile, of row lane % 16 and token k % 4 + lane / 16 · 4 + k / 4 · 8.
fn whole(panel: u32, tile: u32, k: u32, lane: u32) -> f32 {
  let token = k % 4u + lane % 32u / 16u * 4u + k % PER / 4u * 8u;
  return f32(ps[panel % W_PANELS][tile % (CHUNKS * WIDE) * SUMS + token * SUM_PITCH + lane % 16u]);
}

// unit_of returns the unit of sum k of a thread, and that times the sum of the whole numbers.
fn unit_of(n: u32, part: u32, tile: u32, k: u32, lane: u32) -> vec2<f32> {
  let pair = us[(n % 2u * ALONG + part % ALONG) * U_ALL + tile % (CHUNKS * WIDE) * U_ROW + lane % 32u / 16u * 2u + k % PER / 4u * 4u + k % 4u / 2u];
  return select(pair.xy, pair.zw, k % 2u == 1u);
}
