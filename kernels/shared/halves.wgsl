// halves: from codes to weights in float16.
// code returns two codes less their zero-point, exactly: they are the low bits of both halves of a word. With the exponent of
// 2¹⁰ above it, a code is the float16 1024 + code.
fn code(codes: u32, zero: f32) -> vec2<f16> { return bitcast<vec2<f16>>(codes | 0x64006400u) - vec2<f16>(f16(1024.0 + zero)); }

// decoded returns two weights, whose block has this scale.
fn decoded(code: vec2<f16>, scale: f32) -> vec2<f16> { return code * vec2<f16>(f16(scale)); }

// lost returns what the two weights lose by being float16: codes and scales have at most eleven bits, so that it is exact.
fn lost(code: vec2<f16>, scale: f32, weights: vec2<f16>) -> vec2<f16> { return fma(code, vec2<f16>(f16(scale)), -weights); }
