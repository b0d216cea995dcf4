// stored: what shared/stored.wgsl has, in float32.
fn stored(word: u32) -> vec2<f32> { return unpack2x16float(word); }
