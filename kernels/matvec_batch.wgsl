// matvec_batch: what matvec does, for several tokens: a step's inputs lie in workgroup memory, for many rows to share.
//   operands, epilogue, NORM and NEXT as in matvec
//   one workgroup makes ROWS·LANES/ALONG rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 8u;
const ROWS: u32 = 4u;      // of a thread
const ALONG: u32 = 8u;     // threads that share a row, and vectors of it in a step; all of these are powers of two, ROWS ≤ ALONG
const LANES: u32 = 128u;   // of a workgroup
const STEP: u32 = 2u;      // quads (of four columns) that are written out, a divisor of 32/BITS
const NORM: u32 = 0u;      // 1: the product is divided by √(Σ/width + eps), Σ the sums behind x
const NEXT: u32 = 0u;
const GATED: u32 = 0u;     // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;    // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

const QUADS: u32 = 32u / BITS; // groups of four weights in a vec4<u32>
const SHARE: u32 = (BLOCK * BITS + 127u) / 128u; // vectors that share a block
const MASK: u32 = (1u << (BITS % 16u)) - 1u;
const PARTS: u32 = ROWS * TOKENS;
const DOWN: u32 = LANES / ALONG; // runs of ROWS rows
const PER: u32 = ALONG / ROWS;   // lanes that add up one product
const SUMS: u32 = LANES * ROWS;
const CHUNK: u32 = ALONG * QUADS; // quads of a token in a step
const INPUTS: u32 = CHUNK * TOKENS;
const MINE: u32 = (INPUTS + LANES - 1u) / LANES; // of them, those that a thread reads
const SQUARES: u32 = LANES * TOKENS;

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

var<workgroup> sums: array<f32, SUMS>;       // [row][lane], then a product each PER of them
var<workgroup> inputs: array<vec4<f32>, INPUTS>; // [token][quad][vector]
var<workgroup> squares: array<f32, SQUARES>; // [token][lane]

// quad returns weights 4i to 4i+3 of the vector v, less zero. A code masked out of a word, with the
// exponent of 2²³ above it, is the float 2²³ + code·2^position: one fma makes it code − zero, exactly.
fn quad(v: vec4<u32>, i: u32, zero: f32) -> vec4<f32> {
  if (BITS == 32u) { return bitcast<vec4<f32>>(v); }
  if (BITS == 16u) { return vec4<f32>(unpack2x16float(select(v.x, v.z, i == 1u)), unpack2x16float(select(v.y, v.w, i == 1u))); }
  let k = i * BITS / 8u;
  let word = select(select(v.x, v.y, k == 1u), select(v.z, v.w, k == 3u), k > 1u) >> (i * 4u * BITS % 32u);
  let high = select(word, word >> 16u, BITS == 8u); // a float has room for 23 bits
  let position = vec4<u32>(0u, 1u, 2u, 3u) * BITS % 16u;
  let unit = 1.0 / vec4<f32>(vec4<u32>(1u) << position);
  let codes = vec4<u32>(word, word, high, high) & (vec4<u32>(MASK) << position);
  return fma(bitcast<vec4<f32>>(codes | vec4<u32>(shape.exponent)), unit, -8388608.0 * unit - zero);
}

// total returns row r of token t before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  if (NORM == 0u) { return sums[r * PER]; }
  return sums[r * PER] / sqrt(squares[t * LANES] / f32(shape.width) + shape.eps);
}

// input reads this thread's input i of the step at vector v0.
fn input(v0: u32, i: u32, lane: u32) -> vec4<f32> {
  let e = lane + i * LANES;
  let v = min(v0 + e % ALONG, shape.cols * BITS / 128u - 1u);
  let t = min(e / CHUNK, TOKENS - 1u);
  return x[t * shape.x_stride / 4u + v / SHARE * SHARE * QUADS + e % CHUNK / ALONG * SHARE + v % SHARE];
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
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group.x + 65535u * group.y;
  let row0 = (id * DOWN + lane / ALONG) * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  let behind = (shape.width + 255u) / 256u * 64u; // where the squares are, in vec4
  var part: array<f32, PARTS>; // [row][token]
  var codes: array<vec4<u32>, ROWS>;
  var ahead: array<vec4<u32>, ROWS>; // codes and inputs of the next step
  var next_inputs: array<vec4<f32>, MINE>;
  var weights: array<vec4<f32>, ROWS>;
  var heads: array<vec2<f32>, ROWS>; // scale, zero
  for (var r = 0u; r < ROWS; r++) { ahead[r] = w[min(row0 + r, last) * vecs + min(lane % ALONG, vecs - 1u)]; } // unroll
  for (var i = 0u; i < MINE; i++) { next_inputs[i] = input(0u, i, lane); } // unroll
  for (var v0 = 0u; v0 < vecs; v0 += ALONG) {
    let v = min(v0 + lane % ALONG, vecs - 1u);
    let here = v0 + lane % ALONG < vecs;
    for (var r = 0u; r < ROWS; r++) { codes[r] = select(vec4<u32>(0u), ahead[r], here); } // unroll
    workgroupBarrier();
    for (var i = 0u; i < MINE; i++) { // unroll
      if (lane + i * LANES < INPUTS) { inputs[lane + i * LANES] = next_inputs[i]; }
    }
    workgroupBarrier();
    let then = min(v0 + ALONG + lane % ALONG, vecs - 1u);
    for (var r = 0u; r < ROWS; r++) { ahead[r] = w[min(row0 + r, last) * vecs + then]; } // unroll
    for (var i = 0u; i < MINE; i++) { next_inputs[i] = input(v0 + ALONG, i, lane); } // unroll
    for (var i0 = 0u; i0 < QUADS; i0 += STEP) {
      for (var s = 0u; s < STEP; s++) { // unroll
        let i = i0 + s;
        if (BITS < 16u && i * 4u % BLOCK == 0u) {
          for (var r = 0u; r < ROWS; r++) { // unroll
            let word = h[min(row0 + r, last) * (shape.cols / BLOCK) + (v * QUADS + i) * 4u / BLOCK];
            heads[r] = vec2<f32>(select(0.0, unpack2x16float(word).x, here), f32(bitcast<i32>(word) >> 16u));
          }
        }
        for (var r = 0u; r < ROWS; r++) { // unroll
          weights[r] = quad(codes[r], i, heads[r].y);
          if (BITS < 16u) { weights[r] *= heads[r].x; }
        }
        for (var t = 0u; t < TOKENS; t++) { // unroll
          let value = inputs[t * CHUNK + i * ALONG + lane % ALONG];
          for (var r = 0u; r < ROWS; r++) { // unroll
            let k = r * TOKENS + t;
            let q = weights[r];
            part[k] = fma(q.w, value.w, fma(q.z, value.z, fma(q.y, value.y, fma(q.x, value.x, part[k]))));
          }
        }
      }
    }
  }
  if (NORM == 1u) {
    for (var t = 0u; t < TOKENS; t++) {
      var s = vec4<f32>();
      for (var i = lane; i < shape.squares; i += LANES) { s += x[t * shape.x_stride / 4u + behind + i]; }
      squares[t * LANES + lane] = s.x + s.y + s.z + s.w;
    }
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      for (var i = 0u; i < TOKENS; i++) {
        if (lane < half) { squares[i * LANES + lane] += squares[i * LANES + lane + half]; }
      }
    }
  }
  let p = lane / PER; // the row of the workgroup that this lane adds up
  let own = p % ROWS * LANES + p / ROWS * ALONG + lane % PER;
  for (var t = 0u; t < TOKENS; t++) { // unroll
    workgroupBarrier();
    for (var r = 0u; r < ROWS; r++) { sums[r * LANES + lane] = part[r * TOKENS + t]; } // unroll
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < ROWS; i++) { sum += sums[own + i * PER]; } // unroll
    workgroupBarrier();
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = PER / 2u; half > 0u; half /= 2u) {
      if (lane % PER < half) { sums[lane] += sums[lane + half]; }
      workgroupBarrier();
    }
    var made = 0.0;
    if (lane % PER == 0u) { made = store(id * DOWN * ROWS + p, p, t); }
    if (NEXT == 1u) {
      workgroupBarrier();
      if (lane % PER == 0u) { sums[p] = made * made; }
      workgroupBarrier();
      if (lane == 0u) {
        var all = 0.0;
        for (var r = 0u; r < DOWN * ROWS; r++) { all += sums[r]; }
        let to = t * shape.next_stride + (shape.rows + 255u) / 256u * 256u + id;
        next[to] = all;
        if ((id + 1u) * DOWN * ROWS > last) {
          for (var i = 1u; i < 4u; i++) { next[to + i] = 0.0; } // up to a whole vec4
        }
      }
    }
  }
}
