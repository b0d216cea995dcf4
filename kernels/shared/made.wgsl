// made: what becomes of a matvec's sums: norm, bias, activation. sum(r, t) is the product of row r of the workgroup and
// token t, square(t) the sum of the squares of the vector that is to be normalized.
const NORM: u32 = 0u;   // 1: the product is divided by √(square/width + eps)
const GATED: u32 = 0u;  // 1: row i of y is act(row 2i)·(row 2i+1), act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0; // SiLU: 1 and 0; GELU by tanh: 2·√(2/π) and that times 0.044715
const CUBIC: f32 = 0.0;
const BIAS: u32 = 1u;   // 1: b is added if shape says so

// total returns row r of token t before bias and scale.
fn total(r: u32, t: u32) -> f32 {
  if (NORM == 0u) { return sum(r, t); }
  return sum(r, t) / sqrt(square(t) / f32(shape.width) + shape.eps);
}

// made returns what stands for row r of token t, the row-th of the matrix, before scale and addition.
fn made(row: u32, r: u32, t: u32) -> f32 {
  var v = total(r, t);
  if (BIAS == 1u && shape.bias == 1u) { v += b[shape.y0 + row]; }
  if (GATED == 1u) {
    var up = total(r + 1u, t);
    if (BIAS == 1u && shape.bias == 1u) { up += b[shape.y0 + row + 1u]; }
    v *= up / (1.0 + exp(clamp(-v * (SLOPE + CUBIC * v * v), -87.0, 87.0)));
  }
  return v;
}

// element returns where in y a row of token t goes.
fn element(row: u32, t: u32) -> u32 { return t * shape.y_stride + (shape.y0 + row) / (1u + GATED); }
