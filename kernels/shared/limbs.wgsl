// limbs: activations as integer products take them: unit·(128·hi + lo), whole numbers up to LIMIT in two limbs of eight
// bits, with a unit for each block of 32. An element is off by half a unit at most: 2⁻¹⁵ of the largest of its block.
//   of one token, in u32: four planes [blocks][4] with room for a multiple of 8 blocks, hi of a block's quads 0 … 3 and 4 … 7, lo likewise, each word a quad of
//   columns; then [blocks] (unit f32, sum of the whole numbers i32, sum of the squares that a norm needs f32, 0)
const LIMIT: f32 = 16319.0; // 127·128 + 63: both limbs stay within eight bits

// limbs_whole returns four elements as whole numbers; inverse is 1/unit, or 0.
fn limbs_whole(four: vec4<f32>, inverse: f32) -> vec4<i32> { return vec4<i32>(round(four * inverse)); }

// limbs_pack returns the words of hi and lo.
fn limbs_pack(whole: vec4<i32>) -> vec2<u32> {
  let hi = (whole + vec4<i32>(64)) >> vec4<u32>(7u);
  let lo = whole - 128 * hi;
  let high = bitcast<vec4<u32>>(hi) & vec4<u32>(255u);
  let low = bitcast<vec4<u32>>(lo) & vec4<u32>(255u);
  return vec2<u32>(high.x | (high.y << 8u) | (high.z << 16u) | (high.w << 24u), low.x | (low.y << 8u) | (low.z << 16u) | (low.w << 24u));
}

// limbs_unit returns the unit of a block whose elements are at most this large.
fn limbs_unit(most: f32) -> f32 { return select(most / LIMIT, 0.0, most < 1e-30); }
