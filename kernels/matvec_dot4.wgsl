// matvec_dot4: matvec with integer products. Each thread writes the activations of its vec4<u32> of codes, SPAN at
// a time, as unit·(128·hi + lo): whole numbers up to LIMIT, in two limbs of eight bits, so that dot4I8Packed takes four
// codes at once and every sum is exact. What is lost is half a unit an activation: 2⁻¹⁵ of the largest one of the SPAN.
//   w [rows][cols·BITS/128] vec4<u32> as repack makes it
//   h [rows][cols/BLOCK] u32: float16 scale, then int16 zero
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   NEXT = 1 (adds to y, makes all its rows): next[t] = y[t]·g, for a norm, and behind it, from a multiple
//   of 256 on, a sum of y² for each workgroup   NORM = 1: x is such a vector, and the norm ends here
//   one workgroup makes ROWS rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
requires packed_4x8_integer_dot_product;

const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup; they and ROWS·TOKENS ≤ LANES are powers of two
const NORM: u32 = 0u;      // 1: the product is divided by √(Σ/width + eps), Σ the sums behind x
const NEXT: u32 = 0u;
const GATED: u32 = 0u;     // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;    // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

const QUADS: u32 = 32u / BITS; // groups of four weights in a vec4<u32>
const SHARE: u32 = (BLOCK * BITS + 127u) / 128u; // vectors that share a block
const SPAN: u32 = min(QUADS, BLOCK / 4u);   // quads of a vec4<u32> that share a unit and a block
const SPANS: u32 = QUADS / SPAN;            // 2 of int2 in blocks of 32, else 1
const PLACES: u32 = 8u / BITS;              // codes in eight bits, and quads in a word
const WORDS: u32 = SPAN / PLACES;           // of a span
const LIMIT: f32 = 16319.0;                 // 127·128 + 63: both limbs stay within eight bits
const MASK: u32 = 0x01010101u * ((1u << BITS) - 1u);
const FLIP: u32 = 0x80808080u * (BITS / 8u); // makes codes of 0 … 255 those of −128 … 127
const PARTS: u32 = ROWS * TOKENS;
const PER: u32 = LANES / PARTS; // lanes that add up one product
const SUMS: u32 = LANES * PARTS;
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
  exponent: u32,
}

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>;
@group(0) @binding(7) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>;       // [row][token][lane]
var<workgroup> squares: array<f32, SQUARES>; // [token][lane]

// header returns (scale, zero) of block k of a row, for codes as FLIP leaves them.
fn header(row: u32, k: u32) -> vec2<f32> {
  let word = h[row * (shape.cols / BLOCK) + k];
  return vec2<f32>(unpack2x16float(word).x, f32((bitcast<i32>(word) >> 16u) - i32(FLIP & 0xffu)));
}

// beside returns the activations of the four codes at a place of the eight-bit fields of a word, whose quads'
// are a[0], a[1] … a[PLACES−1].
fn beside(a: array<vec4<f32>, PLACES>, place: u32) -> vec4<f32> {
  if (BITS == 8u) { return a[0]; }
  if (BITS == 4u) {
    if (place == 0u) { return vec4<f32>(a[0].xz, a[PLACES - 1u].xz); }
    return vec4<f32>(a[0].yw, a[PLACES - 1u].yw);
  }
  return vec4<f32>(a[0][place], a[PLACES / 4u][place], a[PLACES / 2u][place], a[PLACES - 1u][place]);
}

// total returns row r of token t before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  let i = (r * TOKENS + t) * PER;
  if (NORM == 0u) { return sums[i]; }
  return sums[i] / sqrt(squares[t * LANES] / f32(shape.width) + shape.eps);
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
  let row0 = id * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  let behind = (shape.width + 255u) / 256u * 64u; // where the squares are, in vec4
  var acc: array<f32, PARTS>;
  var codes: array<vec4<u32>, ROWS>;
  for (var v = lane; v < vecs; v += LANES) {
    for (var r = 0u; r < ROWS; r++) { codes[r] = w[min(row0 + r, last) * vecs + v]; } // unroll
    for (var s = 0u; s < SPANS; s++) { // unroll
      let at = v / SHARE * SHARE * QUADS + v % SHARE + s * SPAN * SHARE;
      for (var t = 0u; t < TOKENS; t++) { // unroll
        var all: array<vec4<f32>, SPAN>;
        var most = vec4<f32>();
        for (var i = 0u; i < SPAN; i++) { // unroll
          all[i] = x[t * shape.x_stride / 4u + at + i * SHARE];
          most = max(most, abs(all[i]));
        }
        let unit = max(max(most.x, most.y), max(most.z, most.w)) / LIMIT;
        let inverse = select(1.0 / unit, 0.0, unit < 1e-30);
        var high = array<i32, ROWS>(); // spelled out: not every compiler clears a variable of a loop again
        var low = array<i32, ROWS>();
        var plain = vec4<i32>();
        for (var i = 0u; i < WORDS; i++) { // unroll
          var own: array<vec4<f32>, PLACES>;
          for (var p = 0u; p < PLACES; p++) { own[p] = all[i * PLACES + p] * inverse; } // unroll
          for (var p = 0u; p < PLACES; p++) { // unroll
            let whole = vec4<i32>(round(beside(own, p)));
            let hi = (whole + vec4<i32>(64)) >> vec4<u32>(7u);
            let limbs = vec2<u32>(pack4xI8(hi), pack4xI8(whole - 128 * hi));
            plain += whole;
            for (var r = 0u; r < ROWS; r++) { // unroll
              let four = ((codes[r][s * WORDS + i] >> (p * BITS)) & MASK) ^ FLIP;
              high[r] += dot4I8Packed(four, limbs.x);
              low[r] += dot4I8Packed(four, limbs.y);
            }
          }
        }
        let sum = f32(plain.x + plain.y + plain.z + plain.w);
        for (var r = 0u; r < ROWS; r++) { // unroll
          let head = header(min(row0 + r, last), (v * QUADS + s * SPAN) * 4u / BLOCK);
          acc[r * TOKENS + t] += unit * head.x * fma(-head.y, sum, f32(128 * high[r] + low[r]));
        }
      }
    }
  }
  for (var k = 0u; k < PARTS; k++) { sums[k * LANES + lane] = acc[k]; } // unroll
  if (NORM == 1u) {
    for (var t = 0u; t < TOKENS; t++) {
      var s = vec4<f32>();
      for (var i = lane; i < shape.squares; i += LANES) { s += x[t * shape.x_stride / 4u + behind + i]; }
      squares[t * LANES + lane] = s.x + s.y + s.z + s.w;
    }
  }
  workgroupBarrier();
  let p = lane / PER; // row p / TOKENS of token p % TOKENS
  let t = p % TOKENS;
  var sum = 0.0;
  for (var i = lane % PER; i < LANES; i += PER) { sum += sums[p * LANES + i]; }
  workgroupBarrier();
  sums[lane] = sum;
  for (var half = LANES / 2u; half > 0u && NORM == 1u; half /= 2u) {
    workgroupBarrier();
    for (var i = 0u; i < TOKENS; i++) {
      if (lane < half) { squares[i * LANES + lane] += squares[i * LANES + lane + half]; }
    }
  }
  workgroupBarrier();
  for (var half = PER / 2u; half > 0u; half /= 2u) {
    if (lane % PER < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  var made = 0.0;
  if (lane % PER == 0u) { made = store(row0 + p / TOKENS, p / TOKENS, t); }
  if (NEXT == 0u) { return; }
  workgroupBarrier();
  if (lane % PER == 0u) { squares[p] = made * made; }
  workgroupBarrier();
  if (lane < TOKENS) {
    var all = 0.0;
    for (var r = 0u; r < ROWS; r++) { all += squares[r * TOKENS + lane]; }
    let to = lane * shape.next_stride + (shape.rows + 255u) / 256u * 256u + id;
    next[to] = all;
    if (row0 + ROWS > last) {
      for (var i = 1u; i < 4u; i++) { next[to + i] = 0.0; } // up to a whole vec4
    }
  }
}
