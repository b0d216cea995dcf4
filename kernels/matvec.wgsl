// matvec: y[t] += or = scale·(W·x[t] + b) for a few tokens, W packed at BITS bits a weight.
//   w [rows][cols·BITS/128] vec4<u32>, low bits first; BITS = 16: float16, 32: float32
//   h [rows][cols/BLOCK] u32: float16 scale, then int16 zero; not read if BITS ≥ 16
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   one workgroup makes ROWS rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup, a power of two ≥ ROWS·TOKENS
const NORM: u32 = 0u;      // 1: x is normalized first, x·g/√(mean(x²)+eps)
const ACT: u32 = 0u;       // 1 SiLU, 2 GELU by erf, 3 by tanh, 4 ReLU: row i of y is act(row 2i)·(row 2i+1)

const QUADS: u32 = 32u / BITS; // groups of four weights in a vec4<u32>
const SHIFT: u32 = BITS % 16u; // BITS where codes are masked out of a word
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
  first: u32,
  here: u32,
  width: u32,    // columns of the model
  eps: f32,
}

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<f32>>; // [cols/4]
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>; // [lane][row][token], [lane][token]

// quad returns codes or weights 4i to 4i+3 of a word or two. A code masked out of a word, with the
// exponent of 2²³ above it, is the float 2²³ + code·2^position: one fma makes it the code, exactly.
fn quad(v: vec4<u32>, i: u32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(v); }
  if (BITS == 16u) {
    let p = select(v.xy, v.zw, i == 1u);
    return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y));
  }
  var words = v;
  let word = words[(i * SHIFT / 8u) % 4u] >> ((i * 4u * SHIFT) % 32u);
  let m = (1u << SHIFT) - 1u;
  if (BITS == 8u) {
    let pairs = vec4<u32>(word, word, word >> 16u, word >> 16u) & vec4<u32>(m, m << 8u, m, m << 8u);
    return fma(bitcast<vec4<f32>>(pairs | vec4<u32>(0x4b000000u)), vec4<f32>(1.0, 0.00390625, 1.0, 0.00390625),
      vec4<f32>(-8388608.0, -32768.0, -8388608.0, -32768.0));
  }
  let codes = vec4<u32>(word) & vec4<u32>(m, m << SHIFT, m << (2u * SHIFT % 32u), m << (3u * SHIFT % 32u));
  let f = bitcast<vec4<f32>>(codes | vec4<u32>(0x4b000000u));
  if (BITS == 4u) {
    return fma(f, vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625), vec4<f32>(-8388608.0, -524288.0, -32768.0, -2048.0));
  }
  return fma(f, vec4<f32>(1.0, 0.25, 0.0625, 0.015625), vec4<f32>(-8388608.0, -2097152.0, -524288.0, -131072.0));
}

// header returns (scale, −scale·zero) of the block with weight k of a row.
fn header(row: u32, k: u32) -> vec2<f32> {
  if (BITS >= 16u) { return vec2<f32>(1.0, 0.0); }
  let word = h[row * (shape.cols / BLOCK) + k / BLOCK];
  let scale = unpack2x16float(word).x;
  return vec2<f32>(scale, -scale * f32(bitcast<i32>(word) >> 16u));
}

fn sigmoid(v: f32) -> f32 { return 1.0 / (1.0 + exp(clamp(-v, -87.0, 87.0))); }

// erf by Abramowitz and Stegun 7.1.26, |error| < 1.5e-7.
fn erf(v: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(v));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(v) * (1.0 - p * exp(-min(v * v, 87.0)));
}

fn activate(v: f32) -> f32 {
  if (ACT == 1u) { return v * sigmoid(v); }
  if (ACT == 2u) { return 0.5 * v * (1.0 + erf(v * 0.7071067811865476)); }
  if (ACT == 3u) { return v * sigmoid(1.5957691216057308 * (v + 0.044715 * v * v * v)); }
  return max(v, 0.0);
}

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
  if (ACT != 0u) {
    if (r % 2u == 1u) { return; }
    var up = total(r + 1u, t);
    if (shape.bias == 1u) { up += b[shape.y0 + row + 1u]; }
    v = activate(v) * up;
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
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, PARTS>;
  var squares: array<f32, TOKENS>;
  var part: array<f32, PARTS>; // of the block at hand: Σ code·x
  var plain: array<f32, TOKENS>; // Σ x
  var codes: array<vec4<u32>, ROWS>;
  var weights: array<vec4<f32>, ROWS>;
  for (var v = lane; v < vecs; v += LANES) {
    for (var r = 0u; r < ROWS; r++) { codes[r] = w[min(row0 + r, last) * vecs + v]; }
    for (var i = 0u; i < QUADS; i++) {
      let k = (v * QUADS + i) * 4u;
      for (var r = 0u; r < ROWS; r++) { weights[r] = quad(codes[r], i); }
      for (var t = 0u; t < TOKENS; t++) {
        var value = x[(t * shape.x_stride + k) / 4u];
        if (NORM == 1u) {
          squares[t] += dot(value, value);
          value *= g[k / 4u];
        }
        plain[t] += value.x + value.y + value.z + value.w;
        for (var r = 0u; r < ROWS; r++) { part[r * TOKENS + t] += dot(weights[r], value); }
      }
      if (i + 1u == QUADS || (i + 1u) * 4u % BLOCK == 0u) {
        for (var r = 0u; r < ROWS; r++) {
          let head = header(min(row0 + r, last), k);
          for (var t = 0u; t < TOKENS; t++) {
            acc[r * TOKENS + t] += head.x * part[r * TOKENS + t] + head.y * plain[t];
            part[r * TOKENS + t] = 0.0;
          }
        }
        for (var t = 0u; t < TOKENS; t++) { plain[t] = 0.0; }
      }
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
