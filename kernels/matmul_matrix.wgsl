// matmul_matrix: matmul with subgroup matrices of float16, for activations as split makes them.
//   w, h, b, y as in matmul   halves, units as in split
//   one workgroup computes 16·HIGH·DOWN rows × 16·WIDE·ACROSS tokens, each of its DOWN·ACROSS subgroups of 32 threads HIGH × WIDE
//   matrices of them; a step decodes 32 columns into workgroup memory, while the next step's are being read
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/head.wgsl: head
// with shared/put.wgsl: put
// with shared/matrices.wgsl: Left, Right, Sums, multiplied, decoded, stored
enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const BITS: u32 = 4u;    // 16, 8, 4 or 2
const BLOCK: u32 = 128u; // weights that share a scale
const HIGH: u32 = 4u;
const WIDE: u32 = 4u;
const DOWN: u32 = 2u;
const ACROSS: u32 = 2u;
const LIMBS: u32 = 2u;   // 2: hi and lo of the activations are multiplied, 1: only hi
const BUFFERS: u32 = 1u; // 2: a step's columns are decoded beside those that are being multiplied

const GROUPS: u32 = DOWN * ACROSS;
const LANES: u32 = GROUPS * 32u;
const ROWS: u32 = HIGH * DOWN;         // panels of 16 rows
const TOKENS: u32 = WIDE * ACROSS;     // panels of 16 tokens
const INPUTS: u32 = TOKENS * LIMBS;
const W_PANELS: u32 = ROWS * BUFFERS;
const X_PANELS: u32 = INPUTS * BUFFERS;
const PITCH: u32 = 40u;                // of a row of a panel: 32 columns, and 8 for rows to lie in different banks
const PANEL: u32 = 16u * PITCH;
const WORDS: u32 = (BITS + 3u) / 4u;   // words that eight codes take, half of one for BITS = 2
const ALL: u32 = 64u * ROWS;           // eights of codes that a step decodes: four of each row
const MINE: u32 = (ALL + LANES - 1u) / LANES;
const HELD: u32 = MINE * WORDS;
const X_ALL: u32 = 64u * INPUTS;       // eights of activations in a step
const X_MINE: u32 = (X_ALL + LANES - 1u) / LANES;
const MASK: u32 = 0x10001u * ((1u << (BITS % 16u)) - 1u);

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> halves: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> units: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;
@group(0) @binding(7) var<uniform> step: Step;

// Offsets within a panel are constants where matrices are loaded, so that the compiler need not check them.
var<workgroup> ws: array<array<f16, PANEL>, W_PANELS>; // [row / 16][row % 16][column]
var<workgroup> xs: array<array<f16, PANEL>, X_PANELS>; // [limb][token / 16][token % 16][column]
var<workgroup> ps: array<array<f32, 256>, GROUPS>;      // of each subgroup, [token][row]

// word reads word k of this thread's i-th eight codes of the step at column p, and header their word of h.
fn word(row0: u32, p: u32, i: u32, k: u32, lane: u32) -> u32 {
  let e = lane + i * LANES;
  return w[min(row0 + e / 4u, shape.rows - 1u) * (shape.cols * BITS / 32u) + (p + e % 4u * 8u) * BITS / 32u + k];
}

fn header(row0: u32, p: u32, i: u32, lane: u32) -> u32 {
  if (BITS >= 16u) { return 0u; }
  return h[min(row0 + (lane + i * LANES) / 4u, shape.rows - 1u) * (shape.cols / BLOCK) + p / BLOCK];
}

// input reads this thread's i-th eight activations of the step at column p.
fn input(t0: u32, p: u32, i: u32, lane: u32) -> vec4<u32> {
  let e = lane + i * LANES;
  let t = min(t0 + e / 4u % (16u * TOKENS), step.n - 1u);
  return halves[t * (shape.cols / 4u) + e / (64u * TOKENS) * (shape.cols / 8u) + p / 8u + e % 4u];
}

// save stores a product.
fn save(row: u32, t: u32, sum: f32) {
  if (row >= shape.rows || t >= step.n) { return; }
  var v = sum * units[t];
  if (shape.bias == 1u) { v += b[shape.y0 + row]; }
  put(t * shape.y_stride + shape.y0 + row, v);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.x * (16u * ROWS);
  let t0 = group.y * (16u * TOKENS);
  let subgroup = lane / 32u;
  let down = subgroup / ACROSS * HIGH;   // its first panels
  let across = subgroup % ACROSS * WIDE;
  var sums: array<array<Sums, WIDE>, HIGH>;
  var left: array<Left, HIGH>;
  var held: array<u32, HELD>;            // read ahead for the next step: codes, their heads, activations
  var heads: array<u32, MINE>;
  var inputs: array<vec4<u32>, X_MINE>;
  for (var i = 0u; i < MINE; i++) { // unroll
    for (var k = 0u; k < WORDS; k++) { held[i * WORDS + k] = word(row0, 0u, i, k, lane); } // unroll
    heads[i] = header(row0, 0u, i, lane);
  }
  for (var i = 0u; i < X_MINE; i++) { inputs[i] = input(t0, 0u, i, lane); } // unroll
  // Four threads write a row, and pair k of thread j is pair 4k + j of the step: so 32 threads write to different banks.
  let j = lane % 4u;
  for (var p = 0u; p < shape.cols; p += 32u) {
    let buffer = p / 32u % BUFFERS;
    for (var i = 0u; i < MINE; i++) { // unroll
      let row = (lane + i * LANES) / 4u;
      let block = head(heads[i]);
      for (var k = 0u; k < 4u; k++) { // unroll
        let codes = held[i * WORDS + k * BITS / 16u % WORDS];
        var pair = stored(codes);
        if (BITS < 16u) { pair = decoded((codes >> (k * BITS % 16u + j * 8u * (4u / BITS / 2u) % 16u)) & MASK, block); }
        if (ALL % LANES == 0u || lane + i * LANES < ALL) {
          ws[buffer * ROWS + row / 16u][row % 16u * PITCH + 8u * k + 2u * j] = pair.x;
          ws[buffer * ROWS + row / 16u][row % 16u * PITCH + 8u * k + 2u * j + 1u] = pair.y;
        }
      }
    }
    for (var i = 0u; i < X_MINE; i++) { // unroll
      let row = (lane + i * LANES) / 4u;
      for (var k = 0u; k < 4u; k++) { // unroll
        let pair = stored(inputs[i][k]);
        if (X_ALL % LANES == 0u || lane + i * LANES < X_ALL) {
          xs[buffer * INPUTS + row / 16u][row % 16u * PITCH + 8u * k + 2u * j] = pair.x;
          xs[buffer * INPUTS + row / 16u][row % 16u * PITCH + 8u * k + 2u * j + 1u] = pair.y;
        }
      }
    }
    workgroupBarrier();
    let next = min(p + 32u, shape.cols - 32u);
    for (var i = 0u; i < MINE; i++) { // unroll
      for (var k = 0u; k < WORDS; k++) { held[i * WORDS + k] = word(row0, next, i, k, lane); } // unroll
      heads[i] = header(row0, next, i, lane);
    }
    for (var i = 0u; i < X_MINE; i++) { inputs[i] = input(t0, next, i, lane); } // unroll
    for (var k = 0u; k < 2u; k++) { // unroll
      for (var i = 0u; i < HIGH; i++) { // unroll
        left[i] = subgroupMatrixLoad<Left, row_major>(&ws[buffer * ROWS + down + i], k * 16u, PITCH);
      }
      for (var l = 0u; l < LIMBS; l++) { // unroll
        for (var j = 0u; j < WIDE; j++) { // unroll
          let right = subgroupMatrixLoad<Right, col_major>(&xs[buffer * INPUTS + l * TOKENS + across + j], k * 16u, PITCH);
          for (var i = 0u; i < HIGH; i++) { sums[i][j] = multiplied(left[i], right, sums[i][j]); } // unroll
        }
      }
    }
    if (BUFFERS == 1u) { workgroupBarrier(); }
  }
  for (var i = 0u; i < HIGH; i++) { // unroll
    for (var j = 0u; j < WIDE; j++) { // unroll
      workgroupBarrier();
      subgroupMatrixStore<col_major>(&ps[subgroup], 0u, sums[i][j], 16u);
      workgroupBarrier();
      for (var k = 0u; k < 8u; k++) { // unroll
        let e = lane % 32u + k * 32u;
        save(row0 + (down + i) * 16u + e % 16u, t0 + (across + j) * 16u + e / 16u, ps[subgroup][e]);
      }
    }
  }
}
