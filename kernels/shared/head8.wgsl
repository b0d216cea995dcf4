// head8: a scale and zero-point of matvec_int8 alone.
// head_at returns word i of h for the steps of a row from s on.
fn head_at(row: u32, s: u32, i: u32) -> u32 {
  let at = line(row) * (COLS / BLOCK) + min(s * STEP_COLS / BLOCK + i, COLS / BLOCK - 1u);
  return h[at / 4u][at % 4u];
}
