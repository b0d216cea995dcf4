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

// angle returns (cos, sin) of the angle by which element e is turned at a position.
fn angle(e: u32, position: u32) -> vec2<f32> {
  if (e >= ROT) { return vec2<f32>(1.0, 0.0); }
  let half = max(ROT / 2u, 1u);
  let j = select(e % half, e / 2u, INTERLEAVED == 1u);
  let fine = angles[position % 256u * half + j];
  let coarse = angles[(256u + position / 256u) * half + j];
  return vec2<f32>(coarse.x * fine.x - coarse.y * fine.y, coarse.y * fine.x + coarse.x * fine.y);
}

// rotated returns element e, of this value, after the rotation by an angle, with its partner's value.
fn rotated(value: f32, other: f32, e: u32, by: vec2<f32>) -> f32 {
  if (e >= ROT) { return value; }
  return value * by.x + select(other, -other, partner(e) > e) * by.y;
}
