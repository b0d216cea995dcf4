// head returns (scale, zero) of the block with this word of h.
fn head(word: u32) -> vec2<f32> {
  return vec2<f32>(unpack2x16float(word).x, f32(bitcast<i32>(word) >> 16u));
}
