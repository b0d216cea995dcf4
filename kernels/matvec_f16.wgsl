// matvec_f16: matvec for float16 weights, read as the device's own type. They become float32 before they are
// multiplied, so nothing is lost.
//   w [rows][cols/4] vec4<f16>   h is not read
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   one workgroup makes ROWS rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
enable f16;

const BITS: u32 = 16u;     // of a weight
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup, a power of two ≥ ROWS·TOKENS
const NORM: u32 = 0u;      // 1: x is normalized first, x·g/√(mean(x²)+eps)
const GATED: u32 = 0u;     // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;    // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

const PARTS: u32 = ROWS * TOKENS;
const WIDE: u32 = PARTS + TOKENS; // sums of a lane: products, then squares of x
const SUMS: u32 = LANES * WIDE;

struct Shape {
  cols: u32,     // columns stored, a multiple of BLOCK and of 128/BITS
  rows: u32,
  x_stride: u32,
  y_stride: u32,
  y0: u32,       // element of y and b that the first row makes
  bias: u32,     // 1: b is added
  add: u32,      // 1: y is added to, else overwritten
  scale: f32,
  softcap: f32,  // unless 0, y = c·tanh(y/c) at last
  first: u32,    // … here: of experts
  here: u32,
  width: u32,    // columns of the model
  eps: f32,
}

@group(0) @binding(0) var<storage, read> w: array<vec4<f16>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<f32>>; // [cols/4]
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>; // [lane][row][token], [lane][token]

// total returns row r of token t, all lanes together, before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  let sum = sums[r * TOKENS + t];
  if (NORM == 0u) { return sum; }
  return sum / sqrt(sums[PARTS + t] / f32(shape.width) + shape.eps);
}

fn store(row: u32, r: u32, t: u32) {
  if (row >= shape.rows) { return; }
  var v = total(r, t);
  if (shape.bias == 1u) { v += b[shape.y0 + row]; }
  var i = t * shape.y_stride + shape.y0 + row;
  if (GATED == 1u) {
    if (r % 2u == 1u) { return; }
    var up = total(r + 1u, t);
    if (shape.bias == 1u) { up += b[shape.y0 + row + 1u]; }
    v *= up / (1.0 + exp(clamp(-v * (SLOPE + CUBIC * v * v), -87.0, 87.0)));
    i = t * shape.y_stride + (shape.y0 + row) / 2u;
  }
  v *= shape.scale;
  if (shape.softcap != 0.0) { v = shape.softcap * tanh(clamp(v / shape.softcap, -15.0, 15.0)); }
  if (shape.add == 1u) { v += y[i]; }
  y[i] = v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = (group.x + 65535u * group.y) * ROWS;
  let last = shape.rows - 1u;
  let quads = shape.cols * BITS / 64u;
  var acc: array<f32, PARTS>;
  var squares: array<f32, TOKENS>;
  var weights: array<vec4<f32>, ROWS>;
  for (var q = lane; q < quads; q += LANES) {
    for (var r = 0u; r < ROWS; r++) { weights[r] = vec4<f32>(w[min(row0 + r, last) * quads + q]); }
    for (var t = 0u; t < TOKENS; t++) {
      var value = x[t * shape.x_stride / 4u + q];
      if (NORM == 1u) {
        squares[t] += dot(value, value);
        value *= g[q];
      }
      for (var r = 0u; r < ROWS; r++) { acc[r * TOKENS + t] += dot(weights[r], value); }
    }
  }
  for (var i = 0u; i < PARTS; i++) { sums[lane * WIDE + i] = acc[i]; }
  for (var t = 0u; t < TOKENS; t++) { sums[lane * WIDE + PARTS + t] = squares[t]; }
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      for (var i = 0u; i < WIDE; i++) { sums[lane * WIDE + i] += sums[(lane + half) * WIDE + i]; }
    }
    workgroupBarrier();
  }
  if (lane < PARTS) { store(row0 + lane / TOKENS, lane / TOKENS, lane % TOKENS); }
}
