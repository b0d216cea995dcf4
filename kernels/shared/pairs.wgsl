// pairs: the order in which matmul_matrix decodes the columns of a stored row: two codes of a word at once, one in each half.
// column returns which column the element e is.
fn column(e: u32) -> u32 {
  if (BITS >= 16u) { return 4u * natural(e / 4u) + e % 4u; }
  let codes = 32u / min(BITS, 8u); // in a word
  let code = e % codes / 2u + e % 2u * (codes / 2u);
  let quad = e / codes * (codes / 4u) + code / 4u;
  return 4u * natural(quad) + code % 4u;
}
