// matvec_f16: matvec for float16 weights, read as the device's own type. They become float32 before they are
// multiplied, so nothing is lost.
//   w [rows][cols/4] vec4<f16>   h is not read
//   the other operands and launch as in matvec
// with shared/shape.wgsl: Shape
// with shared/operands.wgsl: h, x, g, b, y, next, shape
// with shared/floats.wgsl: PARTS, products
// with shared/lanes.wgsl: PER, SUMS, SQUARES, sums, squares, keep, sum, square, finish
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/store.wgsl: NEXT, store, store_square, squares_from
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
enable f16;

const BITS: u32 = 16u;     // of a weight
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup; they and ROWS·TOKENS ≤ LANES are powers of two

@group(0) @binding(0) var<storage, read> w: array<vec4<f16>>;

fn fours(i: u32) -> vec4<f32> { return vec4<f32>(w[i]); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group.x + 65535u * group.y;
  products(id * ROWS, lane);
  finish(id, lane);
}
