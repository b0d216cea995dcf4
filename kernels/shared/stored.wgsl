// stored returns the two float16 of a word.
fn stored(word: u32) -> vec2<f16> { return bitcast<vec2<f16>>(word); }
