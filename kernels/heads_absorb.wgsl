// heads_absorb: each head's vector times the transpose of its own matrix: what makes queries for the latents of keys.
//   w, h as in matmul_experts, the heads' matrices [ROWS][cols] stacked   x [t][x_stride] f32: a head's vector [ROWS] every DIM elements
//   y[t][head·DIM_OUT + k] = scale·Σ_r w[head][r][k]·x[t][head·DIM + r]   step.n tokens
//   one workgroup computes 4·LANES columns (x) of one head, for TOKENS tokens (y = head in this part + heads·tile)
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/head.wgsl: head
// with shared/weights.wgsl: weights, SHIFT, MASK
const BITS: u32 = 4u;    // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u; // weights that share a scale
const ROWS: u32 = 128u;
const DIM: u32 = 192u;
const DIM_OUT: u32 = 576u;
const TOKENS: u32 = 1u;
const LANES: u32 = 32u;

const VECTORS: u32 = ROWS * TOKENS;

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;
@group(0) @binding(5) var<uniform> step: Step;

var<workgroup> xs: array<f32, VECTORS>; // [row][token]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let mine = group.y % shape.here;
  let head = shape.first + mine;
  let t0 = group.y / shape.here * TOKENS;
  for (var i = lane; i < VECTORS; i += LANES) {
    let t = min(t0 + i % TOKENS, step.n - 1u);
    xs[i] = x[t * shape.x_stride + head * DIM + i / TOKENS];
  }
  workgroupBarrier();
  let p = group.x * LANES + lane; // a stored quad of columns
  if (p >= shape.cols / 4u) { return; }
  var acc: array<vec4<f32>, TOKENS>;
  for (var r = 0u; r < ROWS; r++) {
    let v = weights(mine * ROWS + r, 4u * p);
    for (var t = 0u; t < TOKENS; t++) { acc[t] += xs[r * TOKENS + t] * v; } // unroll
  }
  let k = 4u * natural(p);
  for (var t = 0u; t < TOKENS; t++) { // unroll
    for (var i = 0u; i < 4u; i++) {
      if (t0 + t < step.n && k + i < shape.width) { y[(t0 + t) * shape.y_stride + head * DIM_OUT + k + i] = shape.scale * acc[t][i]; }
    }
  }
}
