// pairs: the order in which matmul_matrix decodes the columns of a stored row: two codes of a word at once, one in each half.
// column returns which column the element e is.
fn column(e: u32) -> u32 {
  if (BITS >= 16u) { return 4u * natural(e / 4u) + e % 4u; }
  let codes = 32u / min(BITS, 8u); // in a word
  let shift = e % codes / 2u * BITS; // that brings the code to where its half begins
  return 4u * natural(e / codes * (codes / 4u) + shift % 8u / BITS) + shift / 8u + e % 2u * 2u;
}
