// matvec_subgroups: matvec, with the sums of a workgroup's threads made by subgroupAdd. Subgroups may be of any
// size; their threads are taken to lie one after the other, which a check on the device confirms.
//   w [rows][cols·BITS/128] vec4<u32>, low bits first; BITS = 16: float16, 32: float32
//   h [rows][cols/BLOCK] u32: float16 scale, then int16 zero; not read if BITS ≥ 16
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   one workgroup makes ROWS rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
enable subgroups;

const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup, a power of two ≥ ROWS·TOKENS
const NORM: u32 = 0u;      // 1: x is normalized first, x·g/√(mean(x²)+eps)
const GATED: u32 = 0u;     // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;    // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

const QUADS: u32 = 32u / BITS; // groups of four weights in a vec4<u32>
const SHIFT: u32 = BITS % 16u; // BITS where codes are masked out of a word
const PARTS: u32 = ROWS * TOKENS;
const WIDE: u32 = PARTS + TOKENS; // sums of a lane: products, then squares of x
const SUMS: u32 = (LANES + 3u) / 4u * WIDE; // a subgroup has four threads at least

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

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<f32>>; // [cols/4]
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>;   // [subgroup][row][token], [subgroup][token]
var<workgroup> totals: array<f32, WIDE>; // [row][token], [token]

// quad returns codes or weights 4i to 4i+3 of the vector v. A code masked out of a word, with the
// exponent of 2²³ above it, is the float 2²³ + code·2^position: one fma makes it the code, exactly.
fn quad(v: vec4<u32>, i: u32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(v); }
  if (BITS == 16u) { return vec4<f32>(unpack2x16float(select(v.x, v.z, i == 1u)), unpack2x16float(select(v.y, v.w, i == 1u))); }
  var words = v;
  let word = words[(i * SHIFT / 8u) % 4u] >> ((i * 4u * SHIFT) % 32u);
  let high = select(word, word >> 16u, BITS == 8u); // a float has room for 23 bits
  let position = vec4<u32>(0u, SHIFT, 2u * SHIFT % 16u, 3u * SHIFT % 16u);
  let unit = 1.0 / vec4<f32>(vec4<u32>(1u) << position);
  let codes = vec4<u32>(word, word, high, high) & (vec4<u32>((1u << SHIFT) - 1u) << position);
  return fma(bitcast<vec4<f32>>(codes | vec4<u32>(0x4b000000u)), unit, -8388608.0 * unit);
}

// header returns (scale, −scale·zero) of the block with weight k of a row.
fn header(row: u32, k: u32) -> vec2<f32> {
  if (BITS >= 16u) { return vec2<f32>(1.0, 0.0); }
  let word = h[row * (shape.cols / BLOCK) + k / BLOCK];
  let scale = unpack2x16float(word).x;
  return vec2<f32>(scale, -scale * f32(bitcast<i32>(word) >> 16u));
}

// total returns row r of token t, all lanes together, before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  let sum = totals[r * TOKENS + t];
  if (NORM == 0u) { return sum; }
  return sum / sqrt(totals[PARTS + t] / f32(shape.width) + shape.eps);
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
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32,
        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) id: u32) {
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
  let group0 = lane / size * WIDE;
  for (var i = 0u; i < PARTS; i++) {
    let sum = subgroupAdd(acc[i]);
    if (id == 0u) { sums[group0 + i] = sum; }
  }
  for (var t = 0u; t < TOKENS; t++) {
    let sum = subgroupAdd(squares[t]);
    if (id == 0u) { sums[group0 + PARTS + t] = sum; }
  }
  workgroupBarrier();
  for (var i = lane; i < WIDE; i += LANES) {
    var sum = 0.0;
    for (var g = 0u; g < LANES; g += size) { sum += sums[g / size * WIDE + i]; }
    totals[i] = sum;
  }
  workgroupBarrier();
  if (lane < PARTS) { store(row0 + lane / TOKENS, lane / TOKENS, lane % TOKENS); }
}
