// matrices: what shared/matrices.wgsl has and WGSL's functions of subgroup matrices, by threads that compute eight elements
// each, in float32 that is rounded as float16 is. For devices without them: what a kernel makes of them is the same.
var<private> matrix_lane: u32; // of this thread in its subgroup

struct Left { row: array<f32, 16> }                 // row lane % 16: what the thread needs
struct Right { panel: u32, at: u32, k: u32, n: u32 } // where its elements are, k·K + n·N behind at
struct Sums { e: array<f32, 8> }                     // element k·32 + lane of [column][row]

fn rounded(v: f32) -> f32 { return unpack2x16float(pack2x16float(vec2<f32>(v, 0.0))).x; }

fn left_at(panel: u32, at: u32, pitch: u32) -> Left {
  var left: Left;
  for (var k = 0u; k < 16u; k++) { left.row[k] = ws[panel][at + matrix_lane % 16u * pitch + k]; }
  return left;
}

fn left_by_columns(panel: u32, at: u32, pitch: u32) -> Left {
  var left: Left;
  for (var k = 0u; k < 16u; k++) { left.row[k] = ws[panel][at + k * pitch + matrix_lane % 16u]; }
  return left;
}

fn right_by_columns(panel: u32, at: u32, pitch: u32) -> Right { return Right(panel, at, 1u, pitch); }

fn right_by_rows(panel: u32, at: u32, pitch: u32) -> Right { return Right(panel, at, pitch, 1u); }

fn multiplied(a: Left, b: Right, sums: Sums) -> Sums {
  var left = a;
  var made = sums;
  for (var i = 0u; i < 8u; i++) {
    let n = (i * 32u + matrix_lane) / 16u;
    for (var k = 0u; k < 16u; k++) { made.e[i] += left.row[k] * xs[b.panel][b.at + k * b.k + n * b.n]; }
  }
  return made;
}

fn store_at(panel: u32, at: u32, sums: Sums) {
  var mine = sums;
  for (var i = 0u; i < 8u; i++) { ps[panel][at + i * 32u + matrix_lane] = mine.e[i]; }
}
