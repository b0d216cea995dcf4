// matvec_dot4: matvec with integer products. Each thread represents the activations for its vec4<u32> of codes, SPAN
// quads at a time, as unit·(128·hi + lo): whole numbers up to LIMIT, in two limbs of eight bits, so that dot4I8Packed takes four
// codes at once and every sum is exact. An activation is off by half a unit at most: 2⁻¹⁵ of the largest one of its SPAN.
//   operands and launch as in matvec
// with shared/shape.wgsl: Shape
// with shared/operands.wgsl: h, x, g, b, y, next, shape
// with shared/layout.wgsl: VEC, SHARE
// with shared/head.wgsl: head
// with shared/lanes.wgsl: PER, SUMS, SQUARES, sums, squares, keep, sum, square, finish
// with shared/store.wgsl: NORM, NEXT, GATED, SLOPE, CUBIC, total, store, store_square, squares_from
// with shared/put.wgsl: put
requires packed_4x8_integer_dot_product;

const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup; they and ROWS·TOKENS ≤ LANES are powers of two

const PARTS: u32 = ROWS * TOKENS;
const SPAN: u32 = min(VEC, BLOCK / 4u);     // quads of a vec4<u32> that share a unit and a block
const SPANS: u32 = VEC / SPAN;              // 2 for int2 in blocks of 32, else 1
const PLACES: u32 = 8u / BITS;              // codes in eight bits, and quads in a word
const WORDS: u32 = SPAN / PLACES;           // of a span
const LIMIT: f32 = 16319.0;                 // 127·128 + 63: both limbs stay within eight bits
const MASK: u32 = 0x01010101u * ((1u << BITS) - 1u);
const FLIP: u32 = 0x80808080u * (BITS / 8u); // turns codes 0 … 255 into −128 … 127

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;

// beside returns the activations of the four codes at a place within the eight-bit fields of a word; the activations of its
// quads are a[0], a[1] … a[PLACES−1].
fn beside(a: array<vec4<f32>, PLACES>, place: u32) -> vec4<f32> {
  if (BITS == 8u) { return a[0]; }
  if (BITS == 4u) {
    if (place == 0u) { return vec4<f32>(a[0].xz, a[PLACES - 1u].xz); }
    return vec4<f32>(a[0].yw, a[PLACES - 1u].yw);
  }
  return vec4<f32>(a[0][place], a[PLACES / 4u][place], a[PLACES / 2u][place], a[PLACES - 1u][place]);
}

// products computes this thread's part of the products of the rows from row0 on, and hands it to keep.
fn products(row0: u32, lane: u32) {
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, PARTS>;
  var codes: array<vec4<u32>, ROWS>;
  for (var v = lane; v < vecs; v += LANES) {
    for (var r = 0u; r < ROWS; r++) { codes[r] = w[min(row0 + r, last) * vecs + v]; } // unroll
    for (var s = 0u; s < SPANS; s++) { // unroll
      let at = v / SHARE * SHARE * VEC + v % SHARE + s * SPAN * SHARE;
      for (var t = 0u; t < TOKENS; t++) { // unroll
        var all: array<vec4<f32>, SPAN>;
        var most = vec4<f32>();
        for (var i = 0u; i < SPAN; i++) { // unroll
          all[i] = x[t * shape.x_stride / 4u + at + i * SHARE];
          most = max(most, abs(all[i]));
        }
        let unit = max(max(most.x, most.y), max(most.z, most.w)) / LIMIT;
        let inverse = select(1.0 / unit, 0.0, unit < 1e-30);
        var high = array<i32, ROWS>(); // explicit: not every compiler clears a variable of a loop in each round
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
        let all_in = f32(plain.x + plain.y + plain.z + plain.w);
        for (var r = 0u; r < ROWS; r++) { // unroll
          let block = head(h[min(row0 + r, last) * (shape.cols / BLOCK) + (v * VEC + s * SPAN) * 4u / BLOCK]);
          let zero = block.y - f32(FLIP & 0xffu);
          acc[r * TOKENS + t] += unit * block.x * fma(-zero, all_in, f32(128 * high[r] + low[r]));
        }
      }
    }
  }
  for (var k = 0u; k < PARTS; k++) { keep(k, lane, acc[k]); } // unroll
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group.x + 65535u * group.y;
  products(id * ROWS, lane);
  finish(id, lane);
}
