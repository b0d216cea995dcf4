// scaled8: the norm of the vectors of matvec_int8, of which split_int8 has applied the weights.
const SQUARES: u32 = 0u; // vec4 of sums of squares of a token, 0: there is no norm
const SQUARES_READ: u32 = SQUARES + 1u / (SQUARES + 1u); // at least 1

// factor_of returns what the products of a token are multiplied by.
fn factor_of(t: u32) -> f32 {
  if (SQUARES == 0u) { return 1.0; }
  var all = vec4<f32>();
  for (var i = 0u; i < SQUARES_READ; i++) { all += squares[t * SQUARES + i]; } // unroll
  return 1.0 / sqrt((all.x + all.y + all.z + all.w) / f32(shape.width) + shape.eps);
}
