// norm: y[t] = (x[first+t]−mean)/√(var+EPS)·w + b, or x/√(mean(x²)+EPS)·w
//   x [t][X_STRIDE] f32   w, b [WIDTH] f32   y [t][Y_STRIDE] f32   one workgroup computes one token's row
// with shared/step.wgsl: Step
// with shared/sum.wgsl: sums, total
const WIDTH: u32 = 256u;
const X_STRIDE: u32 = 256u;
const Y_STRIDE: u32 = 256u;
const CENTER: u32 = 0u;    // 1: LayerNorm, 0: RMSNorm
const BIAS: u32 = 0u;      // 1: b is added
const ADD: u32 = 0u;       // 1: y is added to, else overwritten
const SCALE: f32 = 1.0;    // multiplies the result
const OUT_SCALE: u32 = 0u; // 1: what is stored is multiplied by b[0]
const EPS: f32 = 0.00001;
const LANES: u32 = 128u;   // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>; // if BIAS + OUT_SCALE
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> step: Step;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let in = (step.first + group.x) * X_STRIDE;
  let out = group.x * Y_STRIDE;
  var mean = 0.0;
  if (CENTER == 1u) {
    var part = 0.0;
    for (var k = lane; k < WIDTH; k += LANES) { part += x[in + k]; }
    mean = total(lane, part) / f32(WIDTH);
    workgroupBarrier();
  }
  var part = 0.0;
  for (var k = lane; k < WIDTH; k += LANES) {
    let d = x[in + k] - mean;
    part += d * d;
  }
  let scale = SCALE / sqrt(total(lane, part) / f32(WIDTH) + EPS);
  for (var k = lane; k < WIDTH; k += LANES) {
    var v = (x[in + k] - mean) * scale * w[k];
    if (BIAS == 1u) { v += SCALE * b[k]; }
    if (ADD == 1u) { v += y[out + k]; }
    if (OUT_SCALE == 1u) { v *= b[0]; }
    y[out + k] = v;
  }
}
