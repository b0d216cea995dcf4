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

const QUADS: u32 = 32u / BITS; // groups of four weights in a vec4<u32>
const SHIFT: u32 = BITS % 16u; // BITS where codes are shifted out of a word
const MASK: u32 = (1u << SHIFT) - 1u;
const PARTS: u32 = ROWS * TOKENS;
const SUMS: u32 = LANES * PARTS;

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
}

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>; // [lane][row][token]

// quad returns weights 4g to 4g+3 of the vector v.
fn quad(v: vec4<u32>, g: u32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(v); }
  if (BITS == 16u) {
    let p = select(v.xy, v.zw, g == 1u);
    return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y));
  }
  var words = v;
  let word = words[(g * SHIFT / 8u) % 4u] >> ((g * 4u * SHIFT) % 32u);
  return vec4<f32>(vec4<u32>(word, word >> SHIFT, word >> ((2u * SHIFT) % 32u), word >> ((3u * SHIFT) % 32u)) & vec4<u32>(MASK));
}

// header returns (scale, −scale·zero) of the block with weight k of a row: w = q·scale − scale·zero, exactly.
fn header(row: u32, k: u32) -> vec2<f32> {
  let word = h[row * (shape.cols / BLOCK) + k / BLOCK];
  let scale = unpack2x16float(word).x;
  return vec2<f32>(scale, -scale * f32(bitcast<i32>(word) >> 16u));
}

fn store(row: u32, t: u32, sum: f32) {
  if (row >= shape.rows) { return; }
  var v = sum;
  if (shape.bias == 1u) { v += b[shape.y0 + row]; }
  v *= shape.scale;
  if (shape.softcap != 0.0) { v = shape.softcap * tanh(clamp(v / shape.softcap, -15.0, 15.0)); }
  let i = t * shape.y_stride + shape.y0 + row;
  if (shape.add == 1u) { v += y[i]; }
  y[i] = v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = (group.x + 65535u * group.y) * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, PARTS>;
  var codes: array<vec4<u32>, ROWS>;
  var scales: array<vec2<f32>, ROWS>;
  var weights: array<vec4<f32>, ROWS>;
  for (var v = lane; v < vecs; v += LANES) {
    for (var r = 0u; r < ROWS; r++) { codes[r] = w[min(row0 + r, last) * vecs + v]; }
    for (var g = 0u; g < QUADS; g++) {
      let k = (v * QUADS + g) * 4u;
      for (var r = 0u; r < ROWS; r++) {
        weights[r] = quad(codes[r], g);
        if (BITS < 16u) {
          if ((g * 4u) % BLOCK == 0u) { scales[r] = header(min(row0 + r, last), k); }
          weights[r] = weights[r] * scales[r].x + scales[r].y;
        }
      }
      for (var t = 0u; t < TOKENS; t++) {
        let value = x[(t * shape.x_stride + k) / 4u];
        for (var r = 0u; r < ROWS; r++) { acc[r * TOKENS + t] += dot(weights[r], value); }
      }
    }
  }
  for (var i = 0u; i < PARTS; i++) { sums[lane * PARTS + i] = acc[i]; }
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      for (var i = 0u; i < PARTS; i++) { sums[lane * PARTS + i] += sums[(lane + half) * PARTS + i]; }
    }
    workgroupBarrier();
  }
  if (lane < PARTS) { store(row0 + lane / TOKENS, lane % TOKENS, sums[lane]); }
}
