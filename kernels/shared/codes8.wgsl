// codes8: codes in workgroup memory, where matrices of them are loaded. Indices are taken modulo what they are below anyway: so compilers
// see that they are in bounds.
// keep_codes writes a thread's codes of a row to a panel, four in a word. Threads' words come by turns, so that they lie in different
// banks.
fn keep_codes(panel: u32, row: u32, thread: u32, codes: vec4<u32>) {
  let at = row % 16u * PITCH + thread % 4u / TURNS * (CHUNK / 4u) + thread % TURNS;
  for (var q = 0u; q < QUADS; q++) { // unroll
    let four = (codes[q / (QUADS / 4u)] >> (q % (QUADS / 4u) * BITS)) & MASK;
    ws[panel % W_PANELS][at + q * TURNS] = bitcast<i32>(four ^ FLIP);
  }
}
