// softcap: bounds the scores of attention.
const SOFTCAP: f32 = 0.0; // unless 0: scores become c·tanh(score/c)

fn capped(score: f32) -> f32 {
  if (SOFTCAP == 0.0) { return score; }
  return SOFTCAP * tanh(clamp(score / SOFTCAP, -15.0, 15.0));
}
