// convolve: y[t][c] = silu(b[c] + Σ_k w[c][k]·u[t−TAPS+1+k][c])·gate, u[t][c] = x[t][c]·in-gate, by channels c
//   rows [t] (token, position, sequence, 0)   w [CHANNELS][TAPS] f32   b [CHANNELS]
//   x [t][X_STRIDE] f32, the channels first   y [t][Y_STRIDE] f32
//   tail [sequence][TAPS−1][CHANNELS] f32: u at the last positions, the latest last; before position 0 u is 0
//   one thread computes one channel (x) of the run of tokens that begins at token y
// with shared/step.wgsl: Step
// with shared/run.wgsl: begins
const CHANNELS: u32 = 256u;
const TAPS: u32 = 4u;      // 2 or more
const X_STRIDE: u32 = 512u;
const Y_STRIDE: u32 = 256u;
const BIAS: u32 = 0u;      // 1: b is added
const SILU: u32 = 1u;      // 1: what is made passes through SiLU
const IN_AT: u32 = 0u;     // unless 0: where in x the in-gates begin
const OUT_AT: u32 = 0u;    // unless 0: where in x the gates of y begin
const LANES: u32 = 64u;

const BEFORE: u32 = TAPS - 1u;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> tail: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> step: Step;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x;
  let first = id.y;
  if (c >= CHANNELS || first >= step.n) { return; }
  if (!begins(first)) { return; }
  let at = rows[first].z * BEFORE * CHANNELS + c;
  var u: array<f32, TAPS>; // the last is the current one
  if (rows[first].y > 0u) {
    for (var k = 0u; k < BEFORE; k++) { u[k + 1u] = tail[at + k * CHANNELS]; } // unroll
  }
  for (var t = first; t < step.n; t++) {
    if (t > first) {
      if (begins(t)) { break; }
    }
    for (var k = 0u; k < BEFORE; k++) { u[k] = u[k + 1u]; } // unroll
    var now = x[t * X_STRIDE + c];
    if (IN_AT > 0u) { now *= x[t * X_STRIDE + IN_AT + c]; }
    u[BEFORE] = now;
    var v = 0.0;
    for (var k = 0u; k < TAPS; k++) { v += w[c * TAPS + k] * u[k]; } // unroll
    if (BIAS == 1u) { v += b[c]; }
    if (SILU == 1u) { v /= 1.0 + exp(clamp(-v, -87.0, 87.0)); }
    if (OUT_AT > 0u) { v *= x[t * X_STRIDE + OUT_AT + c]; }
    y[t * Y_STRIDE + c] = v;
  }
  for (var k = 0u; k < BEFORE; k++) { tail[at + k * CHANNELS] = u[k + 1u]; } // unroll
}
