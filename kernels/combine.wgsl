// combine: y[t] += or = SCALE·Σ_k x[t·TOP+k], the outputs of a token's experts
//   x [slot][STRIDE] f32   y [t][STRIDE] f32   one thread computes one element (x) of one token (y)
const WIDTH: u32 = 256u;
const STRIDE: u32 = 256u;
const TOP: u32 = 2u;
const ADD: u32 = 0u;
const SCALE: f32 = 1.0;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= WIDTH) { return; }
  var sum = 0.0;
  for (var k = 0u; k < TOP; k++) { sum += x[(id.y * TOP + k) * STRIDE + id.x]; }
  sum *= SCALE;
  let i = id.y * STRIDE + id.x;
  if (ADD == 1u) { sum += y[i]; }
  y[i] = sum;
}
