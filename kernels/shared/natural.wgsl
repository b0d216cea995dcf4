// natural returns which four columns the quad p of a stored row holds: in a block they lie by turns in its
// vectors, so that lanes side by side that read a vector each read inputs side by side.
fn natural(p: u32) -> u32 {
  let v = p / VEC;
  return v / SHARE * SHARE * VEC + p % VEC * SHARE + v % SHARE;
}
