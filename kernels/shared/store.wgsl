// store: the end of a matvec over floats: scale, softcap, addition, and the next norm.
const NEXT: u32 = 0u; // 1: the next norm is prepared

// store stores row r of token t, and returns the element of y.
fn store(row: u32, r: u32, t: u32) -> f32 {
  if (row >= shape.rows || (GATED == 1u && r % 2u == 1u)) { return 0.0; }
  let v = put(element(row, t), made(row, r, t));
  if (NEXT == 1u) { next[t * shape.next_stride + row] = v * g[row]; }
  return v;
}

// store_square stores the sum of y² of workgroup id, which has this many rows, after next.
fn store_square(t: u32, id: u32, rows: u32, sum: f32) {
  let to = t * shape.next_stride + (shape.rows + 255u) / 256u * 256u + id;
  next[to] = sum;
  if ((id + 1u) * rows >= shape.rows) {
    for (var i = 1u; i < 4u; i++) { next[to + i] = 0.0; } // up to a whole vec4
  }
}

// squares_from returns the sum of every step-th vector of squares after the x of token t.
fn squares_from(t: u32, first: u32, step: u32) -> f32 {
  var s = vec4<f32>();
  let behind = t * shape.x_stride / 4u + (shape.width + 255u) / 256u * 64u;
  for (var i = first; i < shape.squares; i += step) { s += x[behind + i]; }
  return s.x + s.y + s.z + s.w;
}
