// out_gate: y·act(gate), normalized by groups of elements: before the product or, if FIRST, after
//   x [t][X_STRIDE] f32, the gates from GATE_AT on   y [t][Y_STRIDE] f32   w [WIDTH] f32, or if WHOLE of all groups
//   one workgroup computes one group of WIDTH elements (x) of one token (y)
// with shared/sum.wgsl: sums, total
const WIDTH: u32 = 64u;
const X_STRIDE: u32 = 512u;
const Y_STRIDE: u32 = 256u;
const GATE_AT: u32 = 256u;
const ACT: u32 = 0u;     // 0: act(v) = sigmoid(v), 1: silu(v)
const NORM: u32 = 0u;    // 1: groups are normalized, y/√(mean(y²)+EPS)·w
const FIRST: u32 = 0u;
const WHOLE: u32 = 0u;
const EPS: f32 = 0.000001;
const LANES: u32 = 64u;  // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn gate(i: u32) -> f32 {
  let v = x[i];
  let s = 1.0 / (1.0 + exp(clamp(-v, -87.0, 87.0)));
  return select(s, v * s, ACT == 1u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let out = group.y * Y_STRIDE + group.x * WIDTH;
  let gates = group.y * X_STRIDE + GATE_AT + group.x * WIDTH;
  var scale = 1.0;
  if (NORM == 1u) {
    var part = 0.0;
    for (var k = lane; k < WIDTH; k += LANES) {
      var v = y[out + k];
      if (FIRST == 1u) { v *= gate(gates + k); }
      part += v * v;
    }
    scale = 1.0 / sqrt(total(lane, part) / f32(WIDTH) + EPS);
  }
  for (var k = lane; k < WIDTH; k += LANES) {
    var v = y[out + k] * gate(gates + k) * scale;
    if (NORM == 1u) { v *= w[WHOLE * group.x * WIDTH + k]; }
    y[out + k] = v;
  }
}
