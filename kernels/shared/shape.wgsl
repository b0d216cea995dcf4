// shape: what the kernels of products are told about one product. Each reads the fields that it needs.
struct Shape {
  cols: u32,     // columns stored, a multiple of BLOCK, of 16 and of 128/BITS
  rows: u32,     // of the matrix, or of one expert's
  x_stride: u32,
  y_stride: u32,
  y0: u32,       // element of y and b that the first row makes
  bias: u32,     // 1: b is added
  add: u32,      // 1: y is added to, else overwritten
  scale: f32,
  softcap: f32,  // unless 0, y = c·tanh(y/c) at last
  first: u32,    // the first expert that is here
  here: u32,     // how many are
  width: u32,    // columns of the model
  eps: f32,
  squares: u32,  // vec4 of sums behind x
  next_stride: u32,
  exponent: u32, // that of 2²³: compilers join masking and setting it if they do not know it
}
