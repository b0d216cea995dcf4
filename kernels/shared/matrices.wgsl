// matrices: subgroup matrices of float16, which add up in float32.
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

fn multiplied(a: Left, b: Right, sums: Sums) -> Sums { return subgroupMatrixMultiplyAccumulate(a, b, sums); }

// decoded returns two weights: their codes are the low bits of both halves of a word, and head is their scale and zero. With
// the exponent of 2¹⁰ above it, a code is the float16 1024 + code, from which zero is subtracted exactly.
fn decoded(codes: u32, head: vec2<f32>) -> vec2<f16> {
  return (bitcast<vec2<f16>>(codes | 0x64006400u) - vec2<f16>(f16(1024.0 + head.y))) * vec2<f16>(f16(head.x));
}

// exactly returns two weights in float32, and cut their first eleven bits, by mask: a rounding that is taken back may be
// left out by a compiler.
fn exactly(codes: u32, head: vec2<f32>) -> vec2<f32> {
  return (vec2<f32>(vec2<u32>(codes & 0xffffu, codes >> 16u)) - vec2<f32>(head.y)) * head.x;
}

fn cut(exact: vec2<f32>) -> vec2<f16> { return vec2<f16>(bitcast<vec2<f32>>(bitcast<vec2<u32>>(exact) & vec2<u32>(0xffffe000u))); }

// stored returns the two float16 of a word.
fn stored(word: u32) -> vec2<f16> { return bitcast<vec2<f16>>(word); }
