// reads8: what matvec_int8 reads from buffers.
// line returns the row, or the last one.
fn line(row: u32) -> u32 {
  if (HEIGHT % ROWS == 0u) { return row; }
  return min(row, HEIGHT - 1u);
}

// codes_at returns the codes that a thread reads of a row in a step, limbs_at the limbs with which it fills panels.
fn codes_at(row: u32, s: u32, thread: u32) -> vec4<u32> {
  return w[line(row) * (COLS / EACH_COLS) + min(s, STEPS - 1u) * 4u + thread];
}

fn limbs_at(s: u32, e: u32) -> vec4<u32> { return limbs[min(s, STEPS - 1u) * X_ALL + min(e, X_ALL - 1u)]; }

// units_at returns vector e of the units from step s on; beyond the last step those of the same tokens there, for what is multiplied by
// zero has to be finite, and units of tokens that are not there need not be.
fn units_at(s: u32, e: u32) -> vec4<f32> {
  let row = s * (CHUNKS * WIDE) + e / U_ROW;
  return units[min(row, (STEPS - 1u) * (CHUNKS * WIDE) + row % (CHUNKS * WIDE)) * 8u + e % U_ROW];
}

// four_heads_at returns words 4·i to 4·i + 3 of h for the steps of a row from s on, where they lie in one vector.
fn four_heads_at(row: u32, s: u32, i: u32) -> vec4<u32> {
  return h[(line(row) * (COLS / BLOCK) + min(s, STEPS - min(AHEAD, STEPS)) * STEP_COLS / BLOCK) / 4u + i];
}

// block returns a scale and zero-point; beyond the last step, the scale is 0.
fn block(word: u32, s: u32) -> vec2<f32> {
  if (STEPS % SPAN != 0u && s >= STEPS) { return vec2<f32>(); }
  return head(word) - vec2<f32>(0.0, f32(FLIP & 0xffu));
}

// share returns what the sum of a chunk's products of codes and whole numbers comes to: own is the scale and zero-point of the
// weights, unit that of the activations, and that times the sum of their whole numbers.
fn share(own: vec2<f32>, unit: vec2<f32>, whole: f32) -> f32 { return own.x * fma(unit.x, whole, -own.y * unit.y); }
