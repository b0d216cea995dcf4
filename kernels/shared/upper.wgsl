// upper: the first of the two float16 whose sum is an element; what is left of it is the second.
fn upper(v: vec2<f32>) -> vec2<f32> { return bitcast<vec2<f32>>(bitcast<vec2<u32>>(v) & vec2<u32>(0xffffe000u)); } // by mask: some compilers take unpack(pack(v)) for v
