// matmul: y[t] = W·x[t] for many tokens, W packed at BITS bits a weight.
//   operands and epilogue as in matvec; w as single words
//   one workgroup computes TILE_ROWS rows × TILE_TOKENS tokens: a step dequantizes DEPTH·4 columns of them once
//   into workgroup memory, while the next step's are being read; each thread keeps ROWS × TOKENS sums
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/head.wgsl: head
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TILE_ROWS: u32 = 64u;
const TILE_TOKENS: u32 = 64u;
const ROWS: u32 = 8u;
const TOKENS: u32 = 8u;
const DEPTH: u32 = 4u;     // quads (of four columns) of a step, a multiple of 8/BITS

const ACROSS: u32 = TILE_TOKENS / TOKENS;
const DOWN: u32 = TILE_ROWS / ROWS;
const LANES: u32 = ACROSS * DOWN;
const SUMS: u32 = ROWS * TOKENS;
const UNIT: u32 = (8u + BITS - 1u) / BITS;       // quads that a thread dequantizes at a time
const WORDS: u32 = (BITS + 7u) / 8u;             // words of a unit
const UNITS: u32 = DEPTH / UNIT;                 // of a row in a step
const ALL: u32 = TILE_ROWS * UNITS;
const MINE: u32 = (ALL + LANES - 1u) / LANES;
const HELD: u32 = MINE * WORDS;
const X_SLAB: u32 = DEPTH * TILE_TOKENS;
const INPUTS: u32 = (X_SLAB + LANES - 1u) / LANES;
const MASK: u32 = (1u << (BITS % 16u)) - 1u;

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;
@group(0) @binding(6) var<uniform> step: Step;

// Nested arrays: an index that the compiler knows to be in bounds, such as an unrolled loop counter, is not checked.
var<workgroup> ws: array<array<array<vec4<f32>, DOWN>, ROWS>, DEPTH>;     // [quad][row / DOWN][row % DOWN]
var<workgroup> xs: array<array<array<vec4<f32>, ACROSS>, TOKENS>, DEPTH>; // [quad][token / ACROSS][token % ACROSS]

// codes returns the codes of quad i of a word.
fn codes(word: u32, i: u32) -> vec4<f32> {
  let shift = vec4<u32>(0u, 8u, 16u, 24u) + i * BITS % 8u;
  return vec4<f32>((vec4<u32>(word) >> shift) & vec4<u32>(MASK));
}

fn store(row: u32, t: u32, sum: f32) {
  if (row >= shape.rows || t >= step.n) { return; }
  var v = sum;
  if (shape.bias == 1u) { v += b[shape.y0 + row]; }
  put(t * shape.y_stride + shape.y0 + row, v);
}

// word reads word k of this thread's unit i of the step at quad p, and header its word of h.
fn word(row0: u32, p: u32, i: u32, k: u32, lane: u32) -> u32 {
  let e = lane + i * LANES;
  let row = min(row0 + e / UNITS, shape.rows - 1u);
  return w[(row * (shape.cols / 4u) + p + e % UNITS * UNIT) * BITS / 8u + k];
}

fn header(row0: u32, p: u32, i: u32, lane: u32) -> u32 {
  if (BITS >= 16u) { return 0u; }
  let e = lane + i * LANES;
  let row = min(row0 + e / UNITS, shape.rows - 1u);
  return h[row * (shape.cols / BLOCK) + (p + e % UNITS * UNIT) * 4u / BLOCK];
}

// input reads this thread's quad i of the inputs of the step at quad p.
fn input(t0: u32, p: u32, i: u32, lane: u32) -> vec4<f32> {
  let e = lane + i * LANES;
  return x[min(t0 + e / DEPTH, step.n - 1u) * shape.x_stride / 4u + natural(p + e % DEPTH)];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.x * TILE_ROWS;
  let t0 = group.y * TILE_TOKENS;
  let tr = lane / ACROSS; // this thread's rows are row0 + tr + i·DOWN
  let tt = lane % ACROSS; // and its tokens t0 + tt + j·ACROSS
  let quads = shape.cols / 4u;
  var sums: array<f32, SUMS>;   // [row][token]
  var held: array<u32, HELD>;   // read ahead for the next step: words, their heads, inputs
  var heads: array<u32, MINE>;
  var inputs: array<vec4<f32>, INPUTS>;
  for (var i = 0u; i < MINE; i++) { // unroll
    for (var k = 0u; k < WORDS; k++) { held[i * WORDS + k] = word(row0, 0u, i, k, lane); } // unroll
    heads[i] = header(row0, 0u, i, lane);
  }
  for (var i = 0u; i < INPUTS; i++) { inputs[i] = input(t0, 0u, i, lane); } // unroll
  for (var p = 0u; p < quads; p += DEPTH) {
    for (var i = 0u; i < MINE; i++) { // unroll
      let e = lane + i * LANES;
      let row = e / UNITS;
      let block = head(heads[i]);
      let k = i * WORDS;
      for (var j = 0u; j < UNIT; j++) { // unroll
        var q = (codes(held[k], j) - block.y) * block.x;
        if (BITS == 16u) { q = vec4<f32>(unpack2x16float(held[k]), unpack2x16float(held[k + 1u % WORDS])); }
        if (BITS == 32u) { q = bitcast<vec4<f32>>(vec4<u32>(held[k], held[k + 1u % WORDS], held[k + 2u % WORDS], held[k + 3u % WORDS])); }
        if (e < ALL) { ws[e % UNITS * UNIT + j][row / DOWN][row % DOWN] = q; }
      }
    }
    for (var i = 0u; i < INPUTS; i++) { // unroll
      let e = lane + i * LANES;
      if (e < X_SLAB) { xs[e % DEPTH][e / DEPTH / ACROSS][e / DEPTH % ACROSS] = inputs[i]; }
    }
    workgroupBarrier();
    let next = min(p + DEPTH, quads - DEPTH);
    for (var i = 0u; i < MINE; i++) { // unroll
      for (var k = 0u; k < WORDS; k++) { held[i * WORDS + k] = word(row0, next, i, k, lane); } // unroll
      heads[i] = header(row0, next, i, lane);
    }
    for (var i = 0u; i < INPUTS; i++) { inputs[i] = input(t0, next, i, lane); } // unroll
    for (var q = 0u; q < DEPTH; q++) { // unroll
      var mine: array<vec4<f32>, TOKENS> = array<vec4<f32>, TOKENS>();
      for (var j = 0u; j < TOKENS; j++) { mine[j] = xs[q][j][tt]; } // unroll
      for (var i = 0u; i < ROWS; i++) { // unroll
        let a = ws[q][i][tr];
        for (var j = 0u; j < TOKENS; j++) { // unroll
          let v = mine[j];
          let k = i * TOKENS + j;
          sums[k] = fma(a.w, v.w, fma(a.z, v.z, fma(a.y, v.y, fma(a.x, v.x, sums[k]))));
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    for (var j = 0u; j < TOKENS; j++) { store(row0 + tr + i * DOWN, t0 + tt + j * ACROSS, sums[i * TOKENS + j]); } // unroll
  }
}
