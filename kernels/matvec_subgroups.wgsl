// matvec_subgroups: matvec, with the sums of a workgroup's threads made by subgroupAdd. Subgroups may be of any
// size; their threads are taken to lie one after the other, which a check on the device confirms.
//   w [rows][cols·BITS/128] vec4<u32> as repack makes it; BITS = 16: float16, 32: float32
//   h [rows][cols/BLOCK] u32: float16 scale, then int16 zero; not read if BITS ≥ 16
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   NEXT = 1 (adds to y, makes all its rows): next[t] = y[t]·g, for a norm, and behind it, from a multiple
//   of 256 on, a sum of y² for each workgroup   NORM = 1: x is such a vector, and the norm ends here
//   one workgroup makes ROWS rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
enable subgroups;

const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup; they and ROWS·TOKENS ≤ LANES are powers of two
const STEP: u32 = 8u;      // quads (of four columns) that are written out, a divisor of 32/BITS: as many as there are registers for
const NORM: u32 = 0u;      // 1: the product is divided by √(Σ/width + eps), Σ the sums behind x
const NEXT: u32 = 0u;
const GATED: u32 = 0u;     // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;    // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

const QUADS: u32 = 32u / BITS; // groups of four weights in a vec4<u32>
const SHARE: u32 = (BLOCK * BITS + 127u) / 128u; // vectors that share a block
const HEADS: u32 = (4u * QUADS + BLOCK - 1u) / BLOCK; // blocks that a vector has a part of
const WORDS: u32 = ROWS * HEADS;
const MASK: u32 = (1u << (BITS % 16u)) - 1u;
const PARTS: u32 = ROWS * TOKENS;
const GROUPS: u32 = (LANES + 3u) / 4u; // a subgroup has four threads at least
const SUMS: u32 = GROUPS * PARTS;
const SQUARES: u32 = GROUPS * TOKENS;

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
  squares: u32,  // vec4 of sums behind x
  next_stride: u32,
  exponent: u32, // that of 2²³: compilers join masking and setting it if they do not know it
}

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>;
@group(0) @binding(7) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>;       // [row][token][subgroup]; then [row][token]
var<workgroup> squares: array<f32, SQUARES>; // [token][subgroup]; then [token]

// quad returns weights 4i to 4i+3 of the vector v, less zero. A code masked out of a word, with the
// exponent of 2²³ above it, is the float 2²³ + code·2^position: one fma makes it code − zero, exactly.
fn quad(v: vec4<u32>, i: u32, zero: f32, exponent: u32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(v); }
  if (BITS == 16u) { return vec4<f32>(unpack2x16float(select(v.x, v.z, i == 1u)), unpack2x16float(select(v.y, v.w, i == 1u))); }
  let k = i * BITS / 8u;
  let word = select(select(v.x, v.y, k == 1u), select(v.z, v.w, k == 3u), k > 1u) >> (i * 4u * BITS % 32u);
  let high = select(word, word >> 16u, BITS == 8u); // a float has room for 23 bits
  let position = vec4<u32>(0u, 1u, 2u, 3u) * BITS % 16u;
  let unit = 1.0 / vec4<f32>(vec4<u32>(1u) << position);
  let codes = vec4<u32>(word, word, high, high) & (vec4<u32>(MASK) << position);
  return fma(bitcast<vec4<f32>>(codes | vec4<u32>(exponent)), unit, -8388608.0 * unit - zero);
}

// total returns row r of token t before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  let sum = sums[r * TOKENS + t];
  if (NORM == 0u) { return sum; }
  return sum / sqrt(squares[t] / f32(shape.width) + shape.eps);
}

// store ends row r of token t, and returns what stands in y then.
fn store(row: u32, r: u32, t: u32) -> f32 {
  if (row >= shape.rows || (GATED == 1u && r % 2u == 1u)) { return 0.0; }
  var v = total(r, t);
  if (shape.bias == 1u) { v += b[shape.y0 + row]; }
  var i = t * shape.y_stride + shape.y0 + row;
  if (GATED == 1u) {
    var up = total(r + 1u, t);
    if (shape.bias == 1u) { up += b[shape.y0 + row + 1u]; }
    v *= up / (1.0 + exp(clamp(-v * (SLOPE + CUBIC * v * v), -87.0, 87.0)));
    i = t * shape.y_stride + (shape.y0 + row) / 2u;
  }
  v *= shape.scale;
  if (shape.softcap != 0.0) { v = shape.softcap * tanh(clamp(v / shape.softcap, -15.0, 15.0)); }
  if (shape.add == 1u) { v += y[i]; }
  y[i] = v;
  if (NEXT == 1u) { next[t * shape.next_stride + row] = v * g[row]; }
  return v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32,
        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) first: u32) {
  let id = group.x + 65535u * group.y;
  let row0 = id * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  let behind = (shape.width + 255u) / 256u * 64u; // where the squares are, in vec4
  var acc: array<f32, PARTS>;
  var part: array<f32, PARTS>; // of the block at hand, where its scale comes last
  var codes: array<vec4<u32>, ROWS>;
  var weights: array<vec4<f32>, ROWS>;
  var words: array<u32, WORDS>;      // of h
  var heads: array<vec2<f32>, ROWS>; // scale, zero
  for (var v = lane; v < vecs; v += LANES) {
    var all = 0u;
    for (var r = 0u; r < ROWS; r++) { // unroll
      codes[r] = w[min(row0 + r, last) * vecs + v];
      all |= codes[r].x;
    }
    if (BITS < 16u) {
      for (var k = 0u; k < WORDS; k++) { // unroll
        words[k] = h[min(row0 + k / HEADS, last) * (shape.cols / BLOCK) + v * QUADS * 4u / BLOCK + k % HEADS];
        all |= words[k];
      }
    }
    let exponent = shape.exponent | (all & shape.exponent & 1u); // what the compiler does not know: nothing is decoded before all is read
    let at = v / SHARE * SHARE * QUADS + v % SHARE;
    for (var i0 = 0u; i0 < QUADS; i0 += STEP) {
      for (var s = 0u; s < STEP; s++) { // unroll
        let i = i0 + s;
        if (BITS < 16u && i * 4u % BLOCK == 0u) {
          for (var r = 0u; r < ROWS; r++) { // unroll
            let word = words[r * HEADS + i * 4u / BLOCK];
            heads[r] = vec2<f32>(unpack2x16float(word).x, f32(bitcast<i32>(word) >> 16u));
          }
        }
        for (var r = 0u; r < ROWS; r++) { // unroll
          weights[r] = quad(codes[r], i, heads[r].y, exponent);
          if (BITS < 16u && TOKENS > 1u) { weights[r] *= heads[r].x; }
        }
        for (var t = 0u; t < TOKENS; t++) { // unroll
          let value = x[t * shape.x_stride / 4u + at + i * SHARE];
          for (var r = 0u; r < ROWS; r++) { // unroll
            let k = r * TOKENS + t;
            let q = weights[r];
            part[k] = fma(q.w, value.w, fma(q.z, value.z, fma(q.y, value.y, fma(q.x, value.x, part[k]))));
          }
        }
        if (BITS < 16u && TOKENS == 1u && (i + 1u == QUADS || (i + 1u) * 4u % BLOCK == 0u)) {
          for (var r = 0u; r < ROWS; r++) { // unroll
            acc[r] = fma(heads[r].x, part[r], acc[r]);
            part[r] = 0.0;
          }
        }
      }
    }
  }
  let own = lane / size;
  for (var k = 0u; k < PARTS; k++) { // unroll
    let sum = subgroupAdd(acc[k] + part[k]);
    if (first == 0u) { sums[k * GROUPS + own] = sum; }
  }
  if (NORM == 1u) {
    for (var t = 0u; t < TOKENS; t++) {
      var s = vec4<f32>();
      for (var i = lane; i < shape.squares; i += LANES) { s += x[t * shape.x_stride / 4u + behind + i]; }
      let sum = subgroupAdd(s.x + s.y + s.z + s.w);
      if (first == 0u) { squares[t * GROUPS + own] = sum; }
    }
  }
  workgroupBarrier();
  var sum = 0.0;
  var square = 0.0;
  for (var i = 0u; i * size < LANES; i++) {
    if (lane < PARTS) { sum += sums[lane * GROUPS + i]; }
    if (NORM == 1u && lane < TOKENS) { square += squares[lane * GROUPS + i]; }
  }
  workgroupBarrier();
  if (lane < PARTS) { sums[lane] = sum; }
  if (NORM == 1u && lane < TOKENS) { squares[lane] = square; }
  workgroupBarrier();
  var made = 0.0;
  if (lane < PARTS) { made = store(row0 + lane / TOKENS, lane / TOKENS, lane % TOKENS); }
  if (NEXT == 0u) { return; }
  workgroupBarrier();
  if (lane < PARTS) { sums[lane] = made * made; }
  workgroupBarrier();
  if (lane < TOKENS) {
    var all = 0.0;
    for (var r = 0u; r < ROWS; r++) { all += sums[r * TOKENS + lane]; }
    let to = lane * shape.next_stride + (shape.rows + 255u) / 256u * 256u + id;
    next[to] = all;
    if (row0 + ROWS > last) {
      for (var i = 1u; i < 4u; i++) { next[to + i] = 0.0; } // up to a whole vec4
    }
  }
}
