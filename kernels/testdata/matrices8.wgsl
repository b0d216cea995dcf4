// matrices8: what shared/matrices8.wgsl has and WGSL's functions of subgroup matrices, by threads that compute eight elements
// each. For devices without them: what a kernel makes of them is the same.
var<private> matrix_lane: u32; // of this thread in its subgroup

struct Left { row: array<i32, 8> }                  // words of row lane % 16: what the thread needs
struct Right { panel: u32, at: u32, pitch: u32 }    // where its words are
struct Sums { e: array<i32, 8> }                    // element k·32 + lane of [column][row]

fn left_at(panel: u32, at: u32, pitch: u32) -> Left {
  var left: Left;
  for (var k = 0u; k < 8u; k++) { left.row[k] = ws[panel][at + matrix_lane % 16u * pitch + k]; }
  return left;
}

fn right_by_columns(panel: u32, at: u32, pitch: u32) -> Right { return Right(panel, at, pitch); }

fn multiplied(a: Left, b: Right, sums: Sums) -> Sums {
  var left = a;
  var made = sums;
  for (var i = 0u; i < 8u; i++) {
    let n = (i * 32u + matrix_lane) / 16u;
    for (var k = 0u; k < 8u; k++) {
      let right = xs[b.panel][b.at + n * b.pitch + k];
      for (var c = 0u; c < 32u; c += 8u) { made.e[i] += extractBits(left.row[k], c, 8u) * extractBits(right, c, 8u); }
    }
  }
  return made;
}

fn raised(sums: Sums) -> Sums {
  var made = sums;
  for (var i = 0u; i < 8u; i++) { made.e[i] *= 256; }
  return made;
}

fn store_at(panel: u32, at: u32, sums: Sums) {
  var mine = sums;
  for (var i = 0u; i < 8u; i++) { ws[panel][at + i * 32u + matrix_lane] = mine.e[i]; }
}
