// floats: the loop of a matvec over 16-bit weights without blocks; fours(i) reads four of them.
const PARTS: u32 = ROWS * TOKENS;

// products computes this thread's part of the products of the rows from row0 on, and hands it to keep.
fn products(row0: u32, lane: u32) {
  let last = shape.rows - 1u;
  let quads = shape.cols * BITS / 64u;
  var acc: array<f32, PARTS>;
  var weights: array<vec4<f32>, ROWS>;
  for (var v = lane; v < quads; v += LANES) {
    for (var r = 0u; r < ROWS; r++) { weights[r] = fours(min(row0 + r, last) * quads + v); } // unroll
    for (var t = 0u; t < TOKENS; t++) { // unroll
      let value = x[t * shape.x_stride / 4u + v];
      for (var r = 0u; r < ROWS; r++) { // unroll
        let k = r * TOKENS + t;
        let q = weights[r];
        acc[k] = fma(q.w, value.w, fma(q.z, value.z, fma(q.y, value.y, fma(q.x, value.x, acc[k]))));
      }
    }
  }
  for (var k = 0u; k < PARTS; k++) { keep(k, lane, acc[k]); } // unroll
}
