// quad returns weights 4i to 4i+3 of the vector v, less zero. A code masked out of a word, with the
// exponent of 2²³ above it, is the float 2²³ + code·2^position: one fma makes it code − zero, exactly.
fn quad(v: vec4<u32>, i: u32, zero: f32, exponent: u32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(v); }
  if (BITS == 16u) { return vec4<f32>(unpack2x16float(select(v.x, v.z, i == 1u)), unpack2x16float(select(v.y, v.w, i == 1u))); }
  let k = i * BITS / 8u;
  let word = select(select(v.x, v.y, k == 1u), select(v.z, v.w, k == 3u), k > 1u);
  let high = word >> 16u; // a float holds 23 bits
  let position = vec4<u32>(0u, 8u, 0u, 8u) + i * BITS % 8u;
  let unit = 1.0 / vec4<f32>(vec4<u32>(1u) << position);
  let codes = vec4<u32>(word, word, high, high) & (vec4<u32>((1u << (BITS % 16u)) - 1u) << position);
  return fma(bitcast<vec4<f32>>(codes | vec4<u32>(exponent)), unit, -8388608.0 * unit - zero);
}
