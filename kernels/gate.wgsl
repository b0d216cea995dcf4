// gate: y[t] *= sigmoid(x[t][AT])
//   x [t][X_STRIDE] f32   y [t][Y_STRIDE] f32, its first WIDTH elements   one thread computes one element (x) of one token (y)
const WIDTH: u32 = 256u;
const AT: u32 = 0u;
const X_STRIDE: u32 = 256u;
const Y_STRIDE: u32 = 256u;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= WIDTH) { return; }
  y[id.y * Y_STRIDE + id.x] /= 1.0 + exp(clamp(-x[id.y * X_STRIDE + AT], -87.0, 87.0));
}
