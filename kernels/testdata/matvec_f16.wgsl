// matvec_f16 for a compiler that does not know float16: weights come as pairs in u32.
//   operands and launch as in matvec
// with shared/shape.wgsl: Shape
// with shared/operands.wgsl: h, x, g, b, y, next, shape
// with shared/floats.wgsl: PARTS, products
// with shared/lanes.wgsl: PER, SUMS, SQUARES, sums, squares, keep, sum, square, finish
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, total, made, element
// with shared/store.wgsl: NEXT, store, store_square, squares_from
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
const BITS: u32 = 16u;
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> w: array<vec2<u32>>;

fn fours(i: u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(w[i].x), unpack2x16float(w[i].y)); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group.x + 65535u * group.y;
  products(id * ROWS, lane);
  finish(id, lane);
}
