// act: y = act(gate)·(up + UP_OFFSET), or act(up) in an MLP without gate, or act(x)·up of another buffer
//   x [t][X_STRIDE] f32: gate [WIDTH], up [WIDTH], interleaved if PAIRED; or up alone   y [t][Y_STRIDE] f32, zero past WIDTH
//   one thread computes one element; groups (x, y) are (elements, token)
const WIDTH: u32 = 768u;
const X_STRIDE: u32 = 1536u;
const Y_STRIDE: u32 = 768u;
const GATED: u32 = 1u;     // 2: up is p
const P_STRIDE: u32 = 768u;
const PAIRED: u32 = 0u;
const ACT: u32 = 0u;       // 0 SiLU, 1 GELU by erf, 2 GELU by tanh, 3 ReLU, 4 its square, 5 xIELU by p
const SLOPE: f32 = 1.0;    // SiLU is v·sigmoid(SLOPE·v)
const LIMIT: f32 = 0.0;    // unless 0: gate is at most that, up within ± that
const UP_OFFSET: f32 = 0.0;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> p: array<f32>; // of xIELU: before softplus α above 0 and α−β below, β, ε; or up [t][P_STRIDE]

fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(clamp(-v, -87.0, 87.0))); }

// erf by Abramowitz and Stegun 7.1.26, |error| < 1.5e-7.
fn erf(v: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(v));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(v) * (1.0 - p * exp(-min(v * v, 87.0)));
}

fn softplus(v: f32) -> f32 { return max(v, 0.0) + log(1.0 + exp(-abs(v))); }

fn xielu(v: f32) -> f32 {
  if (v > 0.0) { return softplus(p[0]) * v * v + p[2] * v; }
  return (exp(max(min(v, p[3]), -87.0)) - 1.0 - v) * (p[2] + softplus(p[1])) + p[2] * v;
}

fn activate(v: f32) -> f32 {
  if (ACT == 0u) { return v * sigmoid(SLOPE * v); }
  if (ACT == 1u) { return 0.5 * v * (1.0 + erf(v * 0.7071067811865476)); }
  if (ACT == 2u) { return v * sigmoid(1.5957691216057308 * (v + 0.044715 * v * v * v)); }
  if (ACT == 5u) { return xielu(v); }
  let positive = max(v, 0.0);
  return select(positive, positive * positive, ACT == 4u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= Y_STRIDE) { return; }
  var v = 0.0;
  if (id.x < WIDTH) {
    let i = id.y * X_STRIDE + id.x * (1u + PAIRED);
    v = x[i];
    if (LIMIT > 0.0) { v = min(v, LIMIT); }
    v = activate(v);
    if (GATED == 1u) {
      var up = x[i + select(WIDTH, 1u, PAIRED == 1u)];
      if (LIMIT > 0.0) { up = clamp(up, -LIMIT, LIMIT); }
      v *= up + UP_OFFSET;
    }
    if (GATED == 2u) { v *= p[id.y * P_STRIDE + id.x]; }
  }
  y[id.y * Y_STRIDE + id.x] = v;
}
