// rows: the loop of a matvec over weights as repack lays them out: each thread reads one vec4<u32> of ROWS rows at a time.
const HEADS: u32 = (4u * VEC + BLOCK - 1u) / BLOCK; // blocks that a vector touches
const WORDS: u32 = ROWS * HEADS;
const PARTS: u32 = ROWS * TOKENS;

// products computes this thread's part of the products of the rows from row0 on, and hands it to keep.
fn products(row0: u32, lane: u32) {
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, PARTS>;
  var part: array<f32, PARTS>; // of the current block, where the scale is applied last
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
        words[k] = h[min(row0 + k / HEADS, last) * (shape.cols / BLOCK) + v * VEC * 4u / BLOCK + k % HEADS];
        all |= words[k];
      }
    }
    let exponent = shape.exponent | (all & shape.exponent & 1u); // opaque to the compiler, so that everything is read before anything is decoded
    let at = v / SHARE * SHARE * VEC + v % SHARE;
    for (var i0 = 0u; i0 < VEC; i0 += STEP) {
      for (var s = 0u; s < STEP; s++) { // unroll
        let i = i0 + s;
        if (BITS < 16u && i * 4u % BLOCK == 0u) {
          for (var r = 0u; r < ROWS; r++) { heads[r] = head(words[r * HEADS + i * 4u / BLOCK]); } // unroll
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
        if (BITS < 16u && TOKENS == 1u && (i + 1u == VEC || (i + 1u) * 4u % BLOCK == 0u)) {
          for (var r = 0u; r < ROWS; r++) { // unroll
            acc[r] = fma(heads[r].x, part[r], acc[r]);
            part[r] = 0.0;
          }
        }
      }
    }
  }
  for (var k = 0u; k < PARTS; k++) { keep(k, lane, acc[k] + part[k]); } // unroll
}
