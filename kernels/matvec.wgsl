// matvec: y[t] += or = scale·(W·x[t] + b) for a few tokens, W packed at BITS bits a weight.
//   w [rows][cols·BITS/128] vec4<u32> as repack lays it out; BITS = 16: float16, 32: float32
//   h [rows][cols/BLOCK] u32: float16 scale, then int16 zero; not read if BITS ≥ 16
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   NEXT = 1 (add is set, all rows are computed): next[t] = y[t]·g, for a norm, and after it, from a multiple
//   of 256 on, a sum of y² per workgroup   NORM = 1: x is such a vector, and the norm is completed here
//   one workgroup computes ROWS rows for TOKENS tokens; workgroup x + 65535·y
// with shared/shape.wgsl: Shape
// with shared/operands.wgsl: h, x, g, b, y, next, shape
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/head.wgsl: head
// with shared/quad.wgsl: quad
// with shared/rows.wgsl: HEADS, WORDS, PARTS, products
// with shared/lanes.wgsl: PER, SUMS, SQUARES, sums, squares, keep, sum, square, finish
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/store.wgsl: NEXT, store, store_square, squares_from
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup; they and ROWS·TOKENS ≤ LANES are powers of two
const STEP: u32 = 8u;      // quads (of four columns) unrolled at a time, a divisor of 32/BITS: as many as registers allow

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group.x + 65535u * group.y;
  products(id * ROWS, lane);
  finish(id, lane);
}
