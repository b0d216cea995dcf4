// rounds: the loop of matvec_matrix over codes and panels of activations. A thread decodes a part of LINES rows.
// codes_at returns the codes that a thread has of a row in a step, heads_at word k of h for them.
fn codes_at(row: u32, s: u32, thread: u32) -> vec4<u32> {
  return w[min(row, HEIGHT - 1u) * (COLS / EACH_COLS) + min(s, STEPS - 1u) * 4u + thread];
}

fn heads_at(row: u32, s: u32, thread: u32, k: u32) -> u32 {
  return h[min(row, HEIGHT - 1u) * (COLS / BLOCK) + (min(s, STEPS - 1u) * 4u + thread) * EACH_COLS / BLOCK + k];
}

// products computes the rows from row0 on for all tokens, and has finish store them.
fn products(row0: u32, lane: u32) {
  let subgroup = lane / 32u;
  let line = lane % 32u / 4u; // of eight
  let thread = lane % 4u;
  var sums: array<array<array<Sums, WIDE>, HIGH>, CHAINS>; // of hi, of lo
  var right: array<Right, RIGHTS>;                         // [16 columns][16 tokens][hi, lo]
  var left: array<Left, HIGH>;
  var rest: array<Left, HIGH>; // what they lose
  var codes: array<vec4<u32>, LINES>;
  var words: array<u32, WORDS>; // of h
  var ahead: array<vec4<u32>, LINES>; // codes and words of the next step
  var next_words: array<u32, WORDS>;
  for (var i = 0u; i < LINES; i++) { // unroll
    ahead[i] = codes_at(row0 + line + 8u * i, subgroup, thread);
    for (var k = 0u; k < HEADS; k++) { next_words[i * HEADS + k] = heads_at(row0 + line + 8u * i, subgroup, thread, k); } // unroll
  }
  for (var s0 = 0u; s0 < STEPS; s0 += ALONG) {
    let s = s0 + subgroup;
    for (var i = 0u; i < LINES; i++) { // unroll
      codes[i] = ahead[i];
      ahead[i] = codes_at(row0 + line + 8u * i, s + ALONG, thread);
      for (var k = 0u; k < HEADS; k++) { // unroll
        words[i * HEADS + k] = next_words[i * HEADS + k];
        if (STEPS % ALONG != 0u && s >= STEPS) { words[i * HEADS + k] = 0u; } // the scale 0
        next_words[i * HEADS + k] = heads_at(row0 + line + 8u * i, s + ALONG, thread, k);
      }
    }
    for (var round = 0u; round < ROUNDS; round++) { // unroll
      let own = (round % BUFFERS * ALONG + subgroup) * OWN;
      if (BUFFERS == 1u || ROUNDS == 1u) { workgroupBarrier(); }
      let first = (min(s, STEPS - 1u) * DEEP + round * 4u) * (2u * WIDE);
      if (EARLY == 1u) {
        for (var k = 0u; k < RIGHTS; k++) { right[k] = subgroupMatrixLoad<Right, col_major>(&xs[first + k], 0u, 16u); } // unroll
      }
      for (var i = 0u; i < LINES; i++) { // unroll
        let block = head(words[i * HEADS + round * 16u / BLOCK % HEADS]);
        for (var k = 0u; k < 8u; k++) { // unroll
          let two = (codes[i][round * ROUND_WORDS + k / PAIRS] >> (k % PAIRS * BITS)) & MASK;
          let at = (line + i % 2u * 8u) * PITCH + 8u * k + 2u * thread;
          let exact = code(two, block.y);
          let pair = decoded(exact, block.x);
          if (FINE == 1u) {
            let less = lost(exact, block.x, pair);
            ws[own + HIGH * FINE + i / 2u][at] = less.x;
            ws[own + HIGH * FINE + i / 2u][at + 1u] = less.y;
          }
          ws[own + i / 2u][at] = pair.x;
          ws[own + i / 2u][at + 1u] = pair.y;
        }
      }
      workgroupBarrier();
      if (EARLY == 0u) {
        for (var k = 0u; k < RIGHTS; k++) { right[k] = subgroupMatrixLoad<Right, col_major>(&xs[first + k], 0u, 16u); } // unroll
      }
      for (var k = 0u; k < 4u; k++) { // unroll
        for (var i = 0u; i < HIGH; i++) { // unroll
          left[i] = subgroupMatrixLoad<Left, row_major>(&ws[own + i], k * 16u, PITCH);
          if (FINE == 1u) { rest[i] = subgroupMatrixLoad<Left, row_major>(&ws[own + HIGH * FINE + i], k * 16u, PITCH); }
        }
        for (var j = 0u; j < WIDE; j++) { // unroll
          for (var i = 0u; i < HIGH; i++) { // unroll
            sums[0][i][j] = multiplied(left[i], right[(k * WIDE + j) * 2u], sums[0][i][j]);
            sums[CHAINS - 1u][i][j] = multiplied(left[i], right[(k * WIDE + j) * 2u + 1u], sums[CHAINS - 1u][i][j]);
            if (FINE == 1u) { sums[CHAINS - 1u][i][j] = multiplied(rest[i], right[(k * WIDE + j) * 2u], sums[CHAINS - 1u][i][j]); }
          }
        }
      }
    }
  }
  for (var i = 0u; i < HIGH; i++) { // unroll
    for (var j = 0u; j < WIDE; j++) { // unroll
      workgroupBarrier();
      for (var k = 0u; k < CHAINS; k++) { // unroll
        subgroupMatrixStore<col_major>(&ps[subgroup * CHAINS + k], 0u, sums[k][i][j], 16u);
      }
      workgroupBarrier();
      finish(row0 + 16u * i, 16u * j, lane);
    }
  }
}
