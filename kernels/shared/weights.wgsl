// weights returns weights k to k+3 of a stored row of w, which is bound as single words, with heads h.
fn weights(row: u32, k: u32) -> vec4<f32> {
  let i = row * (shape.cols * BITS / 32u) + k * BITS / 32u;
  if (BITS == 32u) { return bitcast<vec4<f32>>(vec4<u32>(w[i], w[i + 1u], w[i + 2u], w[i + 3u])); }
  if (BITS == 16u) { return vec4<f32>(unpack2x16float(w[i]), unpack2x16float(w[i + 1u])); }
  let word = w[i] >> (k / 4u * SHIFT % 8u);
  let q = vec4<f32>(vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(MASK));
  let block = head(h[row * (shape.cols / BLOCK) + k / BLOCK]);
  return (q - block.y) * block.x;
}

const SHIFT: u32 = BITS % 16u;
const MASK: u32 = (1u << SHIFT) - 1u;
