// natural returns which four columns the quad p of a stored row holds: if a block's quads are interleaved across its
// vectors, neighboring lanes, which read a vector each, read neighboring inputs.
fn natural(p: u32) -> u32 {
  let v = p / VEC;
  return v / SHARE * SHARE * VEC + p % VEC * SHARE + v % SHARE;
}
