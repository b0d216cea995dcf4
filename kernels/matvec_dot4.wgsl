// matvec_dot4: matvec with integer products. Each thread writes the activations of its vec4<u32> of codes, SPAN at
// a time, as unit·(128·hi + lo): whole numbers up to LIMIT, in two limbs of eight bits, so that dot4I8Packed takes four
// codes at once and every sum is exact. What is lost is half a unit an activation: 2⁻¹⁵ of the largest one of the SPAN.
//   w [rows][cols·BITS/128] vec4<u32>, low bits first
//   h [rows][cols/BLOCK] u32: float16 scale, then int16 zero
//   x [t][x_stride/4] vec4<f32>, zero from the model's columns up to cols   y [t][y_stride] f32
//   one workgroup makes ROWS rows for TOKENS tokens; groups (x, y) count on: x + 65535·y
requires packed_4x8_integer_dot_product;

const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup, a power of two ≥ ROWS·TOKENS
const NORM: u32 = 0u;      // 1: x is normalized first, x·g/√(mean(x²)+eps)
const GATED: u32 = 0u;     // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;    // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

const SPAN: u32 = min(128u / BITS, BLOCK);  // codes that share a unit
const SPANS: u32 = 128u / BITS / SPAN;      // of a vec4<u32>: 2 of int2 in blocks of 32, else 1
const WORDS: u32 = 4u / SPANS;              // u32 of a span
const PLACES: u32 = 8u / BITS;              // codes in eight bits
const QUADS: u32 = SPAN / 4u;
const LIMIT: f32 = 16319.0;                 // 127·128 + 63: both limbs stay within eight bits
const MASK: u32 = 0x01010101u * ((1u << BITS) - 1u);
const FLIP: u32 = 0x80808080u * (BITS / 8u); // makes codes of 0 … 255 those of −128 … 127
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

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<f32>>; // [cols/4]
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>; // [lane][row][token], [lane][token]

// header returns (scale, −scale·zero) of the block with weight k of a row, for codes as FLIP leaves them.
fn header(row: u32, k: u32) -> vec2<f32> {
  let word = h[row * (shape.cols / BLOCK) + k / BLOCK];
  let scale = unpack2x16float(word).x;
  return vec2<f32>(scale, -scale * f32((bitcast<i32>(word) >> 16u) - i32(FLIP & 0xffu)));
}

// activations returns those of token t from weight k on, and adds up their squares if NORM.
fn activations(t: u32, k: u32, squares: ptr<function, f32>) -> array<vec4<f32>, QUADS> {
  var a: array<vec4<f32>, QUADS>;
  for (var i = 0u; i < QUADS; i++) {
    a[i] = x[(t * shape.x_stride + k) / 4u + i];
    if (NORM == 1u) {
      *squares += dot(a[i], a[i]);
      a[i] *= g[k / 4u + i];
    }
  }
  return a;
}

// beside returns the activations of the four codes at a place of the eight-bit fields of a word, whose own
// are a[0], a[1] … a[PLACES−1].
fn beside(a: array<vec4<f32>, PLACES>, place: u32) -> vec4<f32> {
  if (BITS == 8u) { return a[0]; }
  if (BITS == 4u) {
    if (place == 0u) { return vec4<f32>(a[0].xz, a[PLACES - 1u].xz); }
    return vec4<f32>(a[0].yw, a[PLACES - 1u].yw);
  }
  return vec4<f32>(a[0][place], a[PLACES / 4u][place], a[PLACES / 2u][place], a[PLACES - 1u][place]);
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
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, PARTS>;
  var squares: array<f32, TOKENS>;
  var codes: array<vec4<u32>, ROWS>;
  for (var v = lane; v < vecs; v += LANES) {
    for (var r = 0u; r < ROWS; r++) { codes[r] = w[min(row0 + r, last) * vecs + v]; }
    for (var s = 0u; s < SPANS; s++) {
      let k = (v * SPANS + s) * SPAN;
      for (var t = 0u; t < TOKENS; t++) {
        var all = activations(t, k, &squares[t]);
        var most = vec4<f32>(0.0);
        for (var i = 0u; i < QUADS; i++) { most = max(most, abs(all[i])); }
        let unit = max(max(most.x, most.y), max(most.z, most.w)) / LIMIT;
        let inverse = select(1.0 / unit, 0.0, unit < 1e-30);
        var high: array<i32, ROWS>;
        var low: array<i32, ROWS>;
        var plain = vec4<i32>(0);
        for (var i = 0u; i < WORDS; i++) {
          var own: array<vec4<f32>, PLACES>;
          for (var p = 0u; p < PLACES; p++) { own[p] = all[i * PLACES + p]; }
          for (var p = 0u; p < PLACES; p++) {
            let whole = vec4<i32>(round(beside(own, p) * inverse));
            let hi = (whole + vec4<i32>(64)) >> vec4<u32>(7u);
            let packed = vec2<u32>(pack4xI8(hi), pack4xI8(whole - 128 * hi));
            plain += whole;
            for (var r = 0u; r < ROWS; r++) {
              let four = ((codes[r][s * WORDS + i] >> (p * BITS)) & MASK) ^ FLIP;
              high[r] += dot4I8Packed(four, packed.x);
              low[r] += dot4I8Packed(four, packed.y);
            }
          }
        }
        let sum = f32(plain.x + plain.y + plain.z + plain.w);
        for (var r = 0u; r < ROWS; r++) {
          let head = header(min(row0 + r, last), k);
          acc[r * TOKENS + t] += unit * (head.x * f32(128 * high[r] + low[r]) + head.y * sum);
        }
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
