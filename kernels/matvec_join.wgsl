// matvec_join: adds up what matvec_slices makes of parts of the columns.
//   x [part][16·WIDE][HEIGHT] f32   b, y as in matvec
//   workgroup (x, y) makes elements LANES·x … of token y
// with shared/shape.wgsl: Shape
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
const PARTS: u32 = 4u;
const HEIGHT: u32 = 4096u; // rows
const WIDE: u32 = 2u;      // panels of 16 tokens
const LANES: u32 = 256u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>; // if BIAS
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

fn sum(r: u32, t: u32) -> f32 {
  var all = 0.0;
  for (var i = 0u; i < PARTS; i++) { all += x[(i * (16u * WIDE) + t) * HEIGHT + r]; } // unroll
  return all;
}

fn square(t: u32) -> f32 { return 1.0; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = (group.x * LANES + lane) * (1u + GATED);
  if (row >= HEIGHT) { return; }
  put(element(row, group.y), made(row, row, group.y));
}
