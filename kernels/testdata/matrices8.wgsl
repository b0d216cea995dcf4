// matrices8: what shared/matrices8.wgsl has and WGSL's functions of subgroup matrices, by threads that compute a 32nd of the elements
// each. For devices without them: what a kernel makes of them is the same.
const ELEMENTS: u32 = 8u - 4u * BOTH;
const RIGHT_WORDS: u32 = 8u * ELEMENTS;

var<private> matrix_lane: u32; // of this thread in its subgroup

struct Left { row: array<i32, 8> }                // words of row lane % 16: what the thread needs
struct Right { columns: array<i32, RIGHT_WORDS> } // words of columns 2·k + lane / 16
struct Sums { e: array<i32, ELEMENTS> }           // element k·32 + lane of [column][row]

fn left_at(panel: u32, at: u32, pitch: u32) -> Left {
  var left: Left;
  for (var k = 0u; k < 8u; k++) { left.row[k] = ws[panel][at + matrix_lane % 16u * pitch + k]; }
  return left;
}

fn right_by_columns(panel: u32, at: u32, pitch: u32) -> Right {
  var right: Right;
  for (var i = 0u; i < RIGHT_WORDS; i++) { right.columns[i] = xs[panel][at + (i / 8u * 2u + matrix_lane / 16u) * pitch + i % 8u]; }
  return right;
}

fn multiplied(a: Left, b: Right, sums: Sums) -> Sums {
  var left = a;
  var right = b;
  var made = sums;
  for (var i = 0u; i < ELEMENTS; i++) {
    for (var k = 0u; k < 8u; k++) {
      for (var c = 0u; c < 32u; c += 8u) { made.e[i] += extractBits(left.row[k], c, 8u) * extractBits(right.columns[8u * i + k], c, 8u); }
    }
  }
  return made;
}

fn raised(sums: Sums) -> Sums {
  var made = sums;
  for (var i = 0u; i < ELEMENTS; i++) { made.e[i] *= 256; }
  return made;
}

fn store_sums(panel: u32, at: u32, sums: Sums, pitch: u32) {
  var mine = sums;
  for (var i = 0u; i < ELEMENTS; i++) { ps[panel][at + (i * 2u + matrix_lane / 16u) * pitch + matrix_lane % 16u] = mine.e[i]; }
}
