// store: the end of a matvec: norm, bias, activation, scale, softcap, addition. sum(r, t) is the product of row r of the
// workgroup and token t, square(t) the sum of the squares after x.
const NORM: u32 = 0u;   // 1: the product is divided by √(Σ/width + eps), Σ the sums after x
const NEXT: u32 = 0u;   // 1: the next norm is prepared
const GATED: u32 = 0u;  // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0; // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;

// total returns row r of token t before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  if (NORM == 0u) { return sum(r, t); }
  return sum(r, t) / sqrt(square(t) / f32(shape.width) + shape.eps);
}

// store stores row r of token t, and returns the element of y.
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
  v = put(i, v);
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
