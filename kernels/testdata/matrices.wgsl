// matrices: what shared/matrices.wgsl has and WGSL's functions of subgroup matrices, by threads that compute eight elements
// each, in float32 that is rounded as float16 is. For devices without them: what a kernel makes of them is the same.
var<private> matrix_lane: u32; // of this thread in its subgroup

struct Left { panel: u32, at: u32 }
struct Right { panel: u32, at: u32 }
struct Sums { e: array<f32, 8> } // element k·32 + lane of [token][row]

fn rounded(v: f32) -> f32 { return unpack2x16float(pack2x16float(vec2<f32>(v, 0.0))).x; }

fn left_at(panel: u32, at: u32) -> Left { return Left(panel, at); }

fn right_at(panel: u32, at: u32) -> Right { return Right(panel, at); }

fn multiplied(a: Left, b: Right, sums: Sums) -> Sums {
  var made = sums;
  for (var i = 0u; i < 8u; i++) {
    let e = i * 32u + matrix_lane;
    for (var k = 0u; k < 16u; k++) {
      made.e[i] += ws[a.panel][a.at + e % 16u * PITCH + k] * xs[b.panel][b.at + e / 16u * PITCH + k];
    }
  }
  return made;
}

fn store_at(panel: u32, sums: Sums) {
  var mine = sums;
  for (var i = 0u; i < 8u; i++) { ps[panel][i * 32u + matrix_lane] = mine.e[i]; }
}

fn decoded(codes: u32, head: vec2<f32>) -> vec2<f32> {
  let both = vec2<f32>(f32(codes & 0xffffu), f32(codes >> 16u));
  return vec2<f32>(rounded((both.x - head.y) * head.x), rounded((both.y - head.y) * head.x));
}

fn exactly(codes: u32, head: vec2<f32>) -> vec2<f32> {
  return (vec2<f32>(f32(codes & 0xffffu), f32(codes >> 16u)) - head.y) * head.x;
}

fn cut(exact: vec2<f32>) -> vec2<f32> { return bitcast<vec2<f32>>(bitcast<vec2<u32>>(exact) & vec2<u32>(0xffffe000u)); }

fn stored(word: u32) -> vec2<f32> { return unpack2x16float(word); }
