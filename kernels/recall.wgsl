// recall: for each head and token, with the head's memory S [KEY_DIM][VALUE_DIM] and s = clamp(softplus(x + bias)),
//   S ·= exp(−exp(log)·s), S += k ⊗ s·v or (DELTA) k ⊗ sigmoid(write)·(v − Sᵀ·k), y = SCALE·Sᵀ·q + skip·v
//   rows [t] (token, position, sequence, 0)   y [t][Y_STRIDE] f32: heads of VALUE_DIM
//   c [t][C_STRIDE] f32: q [KEY_HEADS][KEY_DIM], k, v [HEADS][VALUE_DIM]; if DELTA, q and k are made of length 1
//   x [t][X_STRIDE] f32: of each head x from STEP_AT on, write from WRITE_AT on   g [3][HEADS] f32: log, bias, skip
//   memory [sequence][HEADS][KEY_DIM][VALUE_DIM] f32; at position 0 it is taken for 0
//   one workgroup computes COLS columns (x: of all heads) of the run of tokens that begins at token y
// with shared/step.wgsl: Step
// with shared/run.wgsl: begins
const HEADS: u32 = 4u;
const KEY_HEADS: u32 = 2u;
const KEY_DIM: u32 = 128u;
const VALUE_DIM: u32 = 128u;
const C_STRIDE: u32 = 1024u;
const X_STRIDE: u32 = 2048u;
const Y_STRIDE: u32 = 512u;
const STEP_AT: u32 = 1540u;
const WRITE_AT: u32 = 1536u;
const DELTA: u32 = 1u;
const SKIP: u32 = 0u;
const SCALE: f32 = 1.0;
const STEP_MIN: f32 = 0.0;
const STEP_MAX: f32 = 0.0;  // 0: none
const COLS: u32 = 8u;
const ALONG: u32 = 8u;      // threads that share a column

const LANES: u32 = COLS * ALONG;
const ROWS: u32 = (KEY_DIM + ALONG - 1u) / ALONG; // of a thread
const BLOCKS: u32 = (VALUE_DIM + COLS - 1u) / COLS;
const KEYS: u32 = KEY_HEADS * KEY_DIM;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> memory: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> step: Step;

var<workgroup> sums: array<vec4<f32>, LANES>; // Sᵀ·k, k·k, q·q
var<workgroup> reads: array<f32, LANES>;

fn softplus(v: f32) -> f32 { return max(v, 0.0) + log(1.0 + exp(-abs(v))); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.y;
  if (first >= step.n) { return; }
  if (!begins(first)) { return; }
  let head = group.x / BLOCKS;
  let col = group.x % BLOCKS * COLS + lane % COLS;
  let along = lane / COLS;
  let own = col < VALUE_DIM;
  let at = (rows[first].z * HEADS + head) * KEY_DIM * VALUE_DIM + col;
  var s: array<f32, ROWS>;
  if (own && rows[first].y > 0u) {
    for (var i = 0u; i < ROWS; i++) { // unroll
      if (i * ALONG + along < KEY_DIM) { s[i] = memory[at + (i * ALONG + along) * VALUE_DIM]; }
    }
  }
  let keyHead = head / (HEADS / KEY_HEADS) * KEY_DIM;
  for (var t = first; t < step.n; t++) {
    if (t > first) {
      if (begins(t)) { break; }
    }
    let q0 = t * C_STRIDE + keyHead + along;
    let k0 = q0 + KEYS;
    var size = max(softplus(x[t * X_STRIDE + STEP_AT + head] + g[HEADS + head]), STEP_MIN);
    if (STEP_MAX > 0.0) { size = min(size, STEP_MAX); }
    let fade = exp(-exp(g[head]) * size);
    var v = 0.0;
    if (own) { v = c[t * C_STRIDE + 2u * KEYS + head * VALUE_DIM + col]; }
    var put = size * v;
    var scale = SCALE;
    if (DELTA == 1u) {
      var part = vec4<f32>(0.0);
      for (var i = 0u; i < ROWS; i++) { // unroll
        if (i * ALONG + along < KEY_DIM) {
          let k = c[k0 + i * ALONG];
          let q = c[q0 + i * ALONG];
          part += vec4<f32>(k * s[i], k * k, q * q, 0.0);
        }
      }
      sums[lane] = part;
      workgroupBarrier();
      var all = vec4<f32>(0.0);
      for (var j = 0u; j < ALONG; j++) { all += sums[j * COLS + lane % COLS]; }
      let unit = 1.0 / sqrt(all.y + 0.000001);
      scale /= sqrt(all.z + 0.000001);
      let share = 1.0 / (1.0 + exp(clamp(-x[t * X_STRIDE + WRITE_AT + head], -87.0, 87.0)));
      put = unit * share * (v - fade * unit * all.x);
    }
    var read = 0.0;
    for (var i = 0u; i < ROWS; i++) { // unroll
      if (i * ALONG + along < KEY_DIM) {
        s[i] = s[i] * fade + c[k0 + i * ALONG] * put;
        read += c[q0 + i * ALONG] * s[i];
      }
    }
    reads[lane] = read;
    workgroupBarrier();
    if (along == 0u && own) {
      var sum = 0.0;
      for (var j = 0u; j < ALONG; j++) { sum += reads[j * COLS + lane]; }
      sum *= scale;
      if (SKIP == 1u) { sum += g[2u * HEADS + head] * v; }
      y[t * Y_STRIDE + head * VALUE_DIM + col] = sum;
    }
    if (DELTA == 0u) { workgroupBarrier(); } // otherwise, the barrier above comes before the next reads
  }
  if (own) {
    for (var i = 0u; i < ROWS; i++) { // unroll
      if (i * ALONG + along < KEY_DIM) { memory[at + (i * ALONG + along) * VALUE_DIM] = s[i]; }
    }
  }
}
