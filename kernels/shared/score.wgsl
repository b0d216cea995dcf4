// score: bounds the scores of attention, and lessens them with the distance between query and key.
const SOFTCAP: f32 = 0.0;     // unless 0: scores become c·tanh(score/c)
const ALIBI: f32 = 0.0;       // unless 0: of n heads, a power of two, slope k is 2^(−ALIBI·(k+1)/n)
const ALIBI_SCALE: f32 = 1.0; // multiplies the slopes

// scored returns the score of a head for a key this many positions before the query. Heads beyond the largest power of
// two have the slopes between.
fn scored(product: f32, head: u32, distance: u32) -> f32 {
  var score = product;
  if (SOFTCAP != 0.0) { score = SOFTCAP * tanh(clamp(product / SOFTCAP, -15.0, 15.0)); }
  if (ALIBI == 0.0) { return score; }
  let n = 1u << firstLeadingBit(HEADS);
  let k = select(f32(head) + 1.0, f32(head - n) + 0.5, head >= n);
  return score - ALIBI_SCALE * exp2(-ALIBI * k / f32(n)) * f32(distance);
}
