// rotated: the rotation of a head by its position. angles are (cos, sin) [256][ROT/2] of positions 0 … 255, then
// [n][ROT/2] of positions 0, 256, ….
const ROT: u32 = 64u;        // rotated elements of a head, 0: none
const INTERLEAVED: u32 = 0u; // 1: pairs (2j, 2j+1), 0: (j, j+ROT/2)

// rotated returns element e of the head that begins at head[at], after the rotation.
fn rotated(at: u32, e: u32, position: u32) -> f32 {
  if (e >= ROT) { return head[at + e]; }
  let half = max(ROT / 2u, 1u);
  let j = select(e % half, e / 2u, INTERLEAVED == 1u);
  let first = select(e < half, e % 2u == 0u, INTERLEAVED == 1u);
  let span = select(half, 1u, INTERLEAVED == 1u);
  let fine = angles[position % 256u * half + j];
  let coarse = angles[(256u + position / 256u) * half + j];
  let c = coarse.x * fine.x - coarse.y * fine.y;
  let s = coarse.y * fine.x + coarse.x * fine.y;
  if (first) { return head[at + e] * c - head[at + e + span] * s; }
  return head[at + e] * c + head[at + e - span] * s;
}
