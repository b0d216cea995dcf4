// matvec_experts: products with the matrices of the experts that a few tokens have chosen.
//   w, h as in matvec, the experts' matrices one below the other   chosen [t][TOP] (expert, weight)
//   SUM = 0: y[s] = scale·weight·W[expert(s)]·x[t], s = t·TOP + k, the weight only if WEIGH = 1
//   SUM = 1: y[t] += or = scale·Σ_k weight·W[expert(s)]·x[s], the weights only if WEIGH = 1
//   one workgroup makes ROWS rows (x) of one s or t (y); the experts FIRST … FIRST+HERE−1 are here
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const ROWS: u32 = 4u;
const TOP: u32 = 2u;
const SUM: u32 = 0u;
const WEIGH: u32 = 0u;
const LANES: u32 = 64u;    // a power of two ≥ ROWS

const QUADS: u32 = 32u / BITS;
const SHARE: u32 = (BLOCK * BITS + 127u) / 128u; // vectors that share a block
const SHIFT: u32 = BITS % 16u;
const SUMS: u32 = LANES * ROWS;
const CHOICES: u32 = 1u + SUM * (TOP - 1u); // that a workgroup sums over

struct Shape {
  cols: u32,
  rows: u32,     // of one expert
  x_stride: u32,
  y_stride: u32,
  y0: u32,
  bias: u32,
  add: u32,      // 1: y is added to, else overwritten
  scale: f32,
  softcap: f32,
  first: u32,    // the first expert that is here
  here: u32,     // how many are
}

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>; // [lane][row]

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
  let word = h[row * (shape.cols / BLOCK) + k / BLOCK];
  let scale = unpack2x16float(word).x;
  return vec2<f32>(scale, -scale * f32(bitcast<i32>(word) >> 16u));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.x * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, ROWS>;
  var scales: array<vec2<f32>, ROWS>;
  var mine = false; // is any expert here
  for (var c = 0u; c < CHOICES; c++) {
    let s = group.y * CHOICES + c;
    let choice = chosen[s];
    if (choice.x >= shape.first && choice.x < shape.first + shape.here) {
      mine = true;
      let weight = select(1.0, bitcast<f32>(choice.y), WEIGH == 1u);
      let base = (choice.x - shape.first) * shape.rows;
      let in = select(s / TOP, s, SUM == 1u) * shape.x_stride;
      for (var v = lane; v < vecs; v += LANES) {
        for (var r = 0u; r < ROWS; r++) {
          let row = base + min(row0 + r, last);
          let codes = w[row * vecs + v];
          var part = 0.0;
          for (var g = 0u; g < QUADS; g++) {
            let k = (v * QUADS + g) * 4u;
            var q = quad(codes, g);
            if (BITS < 16u) {
              if ((g * 4u) % BLOCK == 0u) { scales[r] = header(row, k); }
              q = q * scales[r].x + scales[r].y;
            }
            part += dot(q, x[in / 4u + v / SHARE * SHARE * QUADS + g * SHARE + v % SHARE]);
          }
          acc[r] += weight * part;
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) { sums[lane * ROWS + r] = acc[r]; }
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      for (var r = 0u; r < ROWS; r++) { sums[lane * ROWS + r] += sums[(lane + half) * ROWS + r]; }
    }
    workgroupBarrier();
  }
  if (lane >= ROWS || row0 + lane > last || (!mine && SUM == 0u)) { return; }
  let i = group.y * shape.y_stride + shape.y0 + row0 + lane;
  var sum = shape.scale * sums[lane];
  if (shape.add == 1u) { sum += y[i]; }
  y[i] = sum;
}
