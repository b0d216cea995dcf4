// halves: what shared/halves.wgsl has, in float32 that is rounded as float16 is.
fn code(codes: u32, zero: f32) -> vec2<f32> { return vec2<f32>(f32(codes & 0xffffu), f32(codes >> 16u)) - zero; }

fn decoded(code: vec2<f32>, scale: f32) -> vec2<f32> { return vec2<f32>(rounded(code.x * scale), rounded(code.y * scale)); }

fn lost(code: vec2<f32>, scale: f32, weights: vec2<f32>) -> vec2<f32> {
  let exact = code * scale - weights;
  return vec2<f32>(rounded(exact.x), rounded(exact.y));
}
