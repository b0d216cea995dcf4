// rotated: the rotation of a head by its position. angles are (cos, sin) [256][ROT/2] of positions 0 … 255, then
// [n][ROT/2] of positions 0, 256, ….
const ROT: u32 = 64u;        // rotated elements of a head, 0: none
const INTERLEAVED: u32 = 0u; // 1: pairs (2j, 2j+1), 0: (j, j+ROT/2)

// partner returns the element that element e of a head is turned with; itself if it is not rotated.
fn partner(e: u32) -> u32 {
  let half = max(ROT / 2u, 1u);
  if (e >= ROT) { return e; }
  if (INTERLEAVED == 1u) { return e ^ 1u; }
  return select(e - half, e + half, e < half);
}

// rotated returns element e, of this value, after the rotation, with its partner's value.
fn rotated(value: f32, other: f32, e: u32, position: u32) -> f32 {
  if (e >= ROT) { return value; }
  let half = max(ROT / 2u, 1u);
  let j = select(e % half, e / 2u, INTERLEAVED == 1u);
  let fine = angles[position % 256u * half + j];
  let coarse = angles[(256u + position / 256u) * half + j];
  let c = coarse.x * fine.x - coarse.y * fine.y;
  let s = coarse.y * fine.x + coarse.x * fine.y;
  return value * c + select(other, -other, partner(e) > e) * s;
}
