// gram_matrix: gram with subgroup matrices of float16, which add up in float32, for vectors as split_columns makes them.
//   x [t][hi, lo][STRIDE], y [t][hi, lo][Y_STRIDE] f16, zeros from n to a multiple of 16   x_units, y_units [column] f32
//   h, n as in gram: h[row][column] += the product of y's row and x's column   one workgroup computes 128 columns (x) × 64 rows (y)
// Of the products of halves, hi·hi, hi·lo and lo·hi are added up: what is left out is 2⁻²² of the whole.
// with shared/step.wgsl: Step
// with shared/matrices.wgsl: Left, Right, Sums, multiplied
// with shared/stored.wgsl: stored
// with shared/eights.wgsl: inside, source
enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const WIDTH: u32 = 256u;    // of x
const STRIDE: u32 = 256u;   // a multiple of 128
const HEIGHT: u32 = 256u;   // of y
const Y_STRIDE: u32 = 256u; // a multiple of 64
const ROW0: u32 = 0u;       // first row of the part of h that is bound, a multiple of 64
const ROWS: u32 = 256u;     // rows of that part
const LOWER: u32 = 1u;
const HIGH: u32 = 4u;       // matrices of 16 columns that a subgroup multiplies,
const WIDE: u32 = 2u;       // and of 16 rows

const LANES: u32 = 128u;    // two subgroups by two
const COLUMNS: u32 = 2u * HIGH; // panels of 16
const LINES: u32 = 2u * WIDE;
const LEFTS: u32 = 2u * COLUMNS;
const RIGHTS: u32 = 2u * LINES;
const MINE: u32 = 32u * LEFTS / LANES; // eights that a thread stages of 16 tokens
const Y_MINE: u32 = 32u * RIGHTS / LANES;
const MADE: u32 = 8u * HIGH * WIDE;    // elements that a thread makes
const TAKEN: u32 = 64u;     // tokens after which sums are added up by threads: matrices cut them off instead of rounding
const PITCH: u32 = 24u;     // of a token in a panel: 16 elements, and 8 for tokens to lie in different banks
const PANEL: u32 = 16u * PITCH;

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x_units: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> y_units: array<f32>;
@group(0) @binding(4) var<storage, read_write> h: array<f32>;
@group(0) @binding(5) var<uniform> step: Step;

var<workgroup> ws: array<array<f16, PANEL>, LEFTS>;  // [hi, lo][column / 16][token][place]
var<workgroup> xs: array<array<f16, PANEL>, RIGHTS>; // [hi, lo][row / 16][token][place]
var<workgroup> ps: array<array<f32, 256>, 4>;        // of each subgroup, [row][column]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let subgroup = lane / 32u % 4u;
  let down = subgroup / 2u * HIGH;
  let across = subgroup % 2u * WIDE;
  let col0 = group.x * (16u * COLUMNS);
  let row0 = ROW0 + group.y * (16u * LINES);
  if (LOWER == 1u && col0 >= row0 + 16u * LINES) { return; }
  var sums: array<array<Sums, WIDE>, HIGH>;
  var left: array<Left, HIGH>;
  var rest: array<Left, HIGH>;
  var acc: array<f32, MADE>;           // what sums have been
  var columns: array<vec4<u32>, MINE>; // read ahead
  var lines: array<vec4<u32>, Y_MINE>;
  for (var i = 0u; i < MINE; i++) { columns[i] = x[source(lane + i * LANES, COLUMNS, 0u, col0, STRIDE)]; } // unroll
  for (var i = 0u; i < Y_MINE; i++) { lines[i] = y[source(lane + i * LANES, LINES, 0u, row0, Y_STRIDE)]; } // unroll
  for (var t = 0u; t < step.n; t += 16u) {
    let at = lane / 2u % 16u * PITCH + lane % 2u * 2u;
    for (var i = 0u; i < MINE; i++) { // unroll
      for (var k = 0u; k < 4u; k++) { // unroll
        let pair = stored(columns[i][k]);
        ws[(lane + i * LANES) / 32u % LEFTS][at + 4u * k] = pair.x;
        ws[(lane + i * LANES) / 32u % LEFTS][at + 4u * k + 1u] = pair.y;
      }
    }
    for (var i = 0u; i < Y_MINE; i++) { // unroll
      for (var k = 0u; k < 4u; k++) { // unroll
        let pair = stored(lines[i][k]);
        xs[(lane + i * LANES) / 32u % RIGHTS][at + 4u * k] = pair.x;
        xs[(lane + i * LANES) / 32u % RIGHTS][at + 4u * k + 1u] = pair.y;
      }
    }
    workgroupBarrier();
    let next = min(t + 16u, (step.n - 1u) / 16u * 16u);
    for (var i = 0u; i < MINE; i++) { columns[i] = x[source(lane + i * LANES, COLUMNS, next, col0, STRIDE)]; } // unroll
    for (var i = 0u; i < Y_MINE; i++) { lines[i] = y[source(lane + i * LANES, LINES, next, row0, Y_STRIDE)]; } // unroll
    for (var i = 0u; i < HIGH; i++) { // unroll
      left[i] = subgroupMatrixLoad<Left, col_major>(&ws[down + i], 0u, PITCH);
      rest[i] = subgroupMatrixLoad<Left, col_major>(&ws[COLUMNS + down + i], 0u, PITCH);
    }
    for (var j = 0u; j < WIDE; j++) { // unroll
      let right = subgroupMatrixLoad<Right, row_major>(&xs[across + j], 0u, PITCH);
      for (var i = 0u; i < HIGH; i++) { // unroll
        sums[i][j] = multiplied(left[i], right, sums[i][j]);
        sums[i][j] = multiplied(rest[i], right, sums[i][j]);
      }
      let less = subgroupMatrixLoad<Right, row_major>(&xs[LINES + across + j], 0u, PITCH);
      for (var i = 0u; i < HIGH; i++) { sums[i][j] = multiplied(left[i], less, sums[i][j]); } // unroll
    }
    workgroupBarrier();
    if (t % TAKEN == TAKEN - 16u || t + 16u >= step.n) {
      for (var i = 0u; i < HIGH; i++) { // unroll
        for (var j = 0u; j < WIDE; j++) { // unroll
          workgroupBarrier();
          subgroupMatrixStore<col_major>(&ps[subgroup], 0u, sums[i][j], 16u);
          sums[i][j] = Sums();
          workgroupBarrier();
          for (var k = 0u; k < 8u; k++) { acc[(i * WIDE + j) * 8u + k] += ps[subgroup][lane % 32u + k * 32u]; } // unroll
        }
      }
    }
  }
  for (var i = 0u; i < HIGH; i++) { // unroll
    for (var j = 0u; j < WIDE; j++) { // unroll
      for (var k = 0u; k < 8u; k++) { // unroll
        let e = lane % 32u + k * 32u;
        let col = col0 + (down + i) * 16u + inside(e % 16u);
        let row = row0 + (across + j) * 16u + inside(e / 16u);
        let v = acc[(i * WIDE + j) * 8u + k] * x_units[min(col, STRIDE - 1u)] * y_units[min(row, Y_STRIDE - 1u)];
        if (row < min(HEIGHT, ROW0 + ROWS) && col < WIDTH) { h[(row - ROW0) * WIDTH + col] += v; }
      }
    }
  }
}
