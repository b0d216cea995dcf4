// shape: describes one product to its kernel. Each kernel reads the fields that it needs.
struct Shape {
  cols: u32,     // columns stored, a multiple of BLOCK, of 16 and of 128/BITS
  rows: u32,     // of the matrix, or of one expert's
  x_stride: u32,
  y_stride: u32,
  y0: u32,       // element of y and b for the first row
  bias: u32,     // 1: b is added
  add: u32,      // 1: y is added to, else overwritten
  scale: f32,
  softcap: f32,  // unless 0, y becomes c·tanh(y/c)
  first: u32,    // the first expert in this part of the weights
  here: u32,     // how many experts it has
  width: u32,    // columns of the model
  eps: f32,
  squares: u32,  // vec4 of sums after x
  next_stride: u32,
  exponent: u32, // of 2²³: masking and setting it become one instruction if the compiler does not know it
}
