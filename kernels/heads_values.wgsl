// heads_values: each head's own matrix times its vector: what makes values of the latents that attention has read.
//   w, h as in matmul_experts, the heads' matrices [shape.rows][cols] stacked   x [t][x_stride] f32: a head's vector [width] every width elements
//   y[t][head·shape.rows + r] = Σ_k w[head][r][k]·x[t][head·width + k]   step.n tokens
//   one workgroup computes ROWS rows (x) of one head, for TOKENS tokens (y = head in this part + heads·tile)
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/head.wgsl: head
// with shared/weights.wgsl: weights, SHIFT, MASK
const BITS: u32 = 4u;    // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u; // weights that share a scale
const ROWS: u32 = 4u;
const TOKENS: u32 = 1u;
const LANES: u32 = 64u;  // a power of two ≥ ROWS·TOKENS

const PARTS: u32 = ROWS * TOKENS;
const SUMS: u32 = LANES * PARTS;

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;
@group(0) @binding(5) var<uniform> step: Step;

var<workgroup> sums: array<f32, SUMS>; // [lane][row][token]

// vector returns elements k to k+3 of a head's vector, which need not be a multiple of four; past its end, zeros.
fn vector(start: u32, k: u32) -> vec4<f32> {
  var v = vec4<f32>();
  for (var i = 0u; i < 4u; i++) {
    if (k + i < shape.width) { v[i] = x[start + k + i]; }
  }
  return v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let mine = group.y % shape.here;
  let head = shape.first + mine;
  let t0 = group.y / shape.here * TOKENS;
  let row0 = group.x * ROWS;
  var acc: array<f32, PARTS>;
  for (var p = lane; p < shape.cols / 4u; p += LANES) {
    let k = 4u * natural(p);
    var vs: array<vec4<f32>, TOKENS>;
    for (var t = 0u; t < TOKENS; t++) { vs[t] = vector(min(t0 + t, step.n - 1u) * shape.x_stride + head * shape.width, k); } // unroll
    for (var r = 0u; r < ROWS; r++) { // unroll
      let v = weights(mine * shape.rows + min(row0 + r, shape.rows - 1u), 4u * p);
      for (var t = 0u; t < TOKENS; t++) { acc[r * TOKENS + t] += dot(v, vs[t]); } // unroll
    }
  }
  for (var i = 0u; i < PARTS; i++) { sums[lane * PARTS + i] = acc[i]; } // unroll
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      for (var i = 0u; i < PARTS; i++) { sums[lane * PARTS + i] += sums[(lane + half) * PARTS + i]; } // unroll
    }
    workgroupBarrier();
  }
  let row = row0 + lane / TOKENS;
  let t = t0 + lane % TOKENS;
  if (lane < PARTS && row < shape.rows && t < step.n) { y[t * shape.y_stride + head * shape.rows + row] = sums[lane]; }
}
