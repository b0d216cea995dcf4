// tile: products by subgroup matrices. A workgroup computes 16·HIGH·DOWN rows × 16·WIDE·ACROSS tokens, each of its DOWN·ACROSS
// subgroups of 32 threads HIGH × WIDE matrices of them; a step decodes 32 columns into workgroup memory, while the next
// step's are being read. The kernel says where stored_row(i) and vector_row(i) of the tile lie, and saves sums: of one row or, if
// GATED, of two.
// word reads word k of this thread's i-th eight codes of the step at column p, and header their word of h.
fn word(row: u32, p: u32, k: u32, lane: u32) -> u32 {
  return w[row * (shape.cols * BITS / 32u) + (p + lane % 4u * 8u) * BITS / 32u + k];
}

fn header(row: u32, p: u32) -> u32 {
  if (BITS >= 16u) { return 0u; }
  return h[row * (shape.cols / BLOCK) + p / BLOCK];
}

// tile computes the first cols columns of a tile's products, all of them or none.
fn tile(cols: u32, lane: u32) {
  let subgroup = lane / 32u % GROUPS; // modulo, so that compilers see that indices are in bounds, here and below
  let down = subgroup / ACROSS * HIGH;   // its first panels
  let across = subgroup % ACROSS * WIDE;
  var sums: array<array<Sums, WIDE>, HIGH>;
  var left: array<Left, HIGH>;
  var rows: array<u32, MINE>;            // where this thread's codes lie,
  var places: array<u32, X_MINE>;        // and its activations
  var held: array<u32, HELD>;            // read ahead for the next step: codes, their heads, activations
  var heads: array<u32, MINE>;
  var inputs: array<vec4<u32>, X_MINE>;
  for (var i = 0u; i < MINE; i++) { // unroll
    rows[i] = stored_row((lane + i * LANES) / 4u);
    for (var k = 0u; k < WORDS; k++) { held[i * WORDS + k] = word(rows[i], 0u, k, lane); } // unroll
    heads[i] = header(rows[i], 0u);
  }
  for (var i = 0u; i < X_MINE; i++) { // unroll
    let e = (lane + i * LANES) / 4u;
    places[i] = vector_row(e % (16u * TOKENS)) * (shape.cols / 4u) + e / (16u * TOKENS) * (shape.cols / 8u) + lane % 4u;
    inputs[i] = halves[places[i]];
  }
  // Four threads write a row, and pair k of thread j is pair 4k + j of the step: so 32 threads write to different banks.
  let j = lane % 4u;
  for (var p = 0u; p < cols; p += 32u) {
    for (var round = 0u; round < ROUNDS; round++) { // unroll
      let buffer = (p / 32u * ROUNDS + round) % BUFFERS;
      for (var i = 0u; i < MINE; i++) { // unroll
        let row = (lane + i * LANES) / 4u % (16u * ROWS);
        let block = head(heads[i]);
        for (var k = 0u; k < PAIRS; k++) { // unroll
          let codes = held[i * WORDS + (round * PAIRS + k) * BITS / 16u % WORDS];
          var pair = stored(codes);
          var less = pair;
          if (BITS < 16u) {
            let two = code((codes >> ((round * PAIRS + k) * BITS % 16u + j * 8u * (4u / BITS / 2u) % 16u)) & MASK, block.y);
            pair = decoded(two, block.x);
            less = lost(two, block.x, pair);
          }
          let at = row % 16u * PITCH + 8u * k + 2u * j;
          if (ALL % LANES == 0u || lane + i * LANES < ALL) {
            ws[buffer * WEIGHTS + row / 16u][at] = pair.x;
            ws[buffer * WEIGHTS + row / 16u][at + 1u] = pair.y;
            if (FINE == 1u && BITS < 16u) {
              ws[buffer * WEIGHTS + ROWS * FINE + row / 16u][at] = less.x;
              ws[buffer * WEIGHTS + ROWS * FINE + row / 16u][at + 1u] = less.y;
            }
          }
        }
      }
      for (var i = 0u; i < X_MINE; i++) { // unroll
        let row = (lane + i * LANES) / 4u % (16u * INPUTS);
        if (X_ALL % LANES == 0u || lane + i * LANES < X_ALL) {
          for (var k = 0u; k < PAIRS; k++) { // unroll
            let pair = stored(inputs[i][round * PAIRS + k]);
            xs[buffer * INPUTS + row / 16u][row % 16u * PITCH + 8u * k + 2u * j] = pair.x;
            xs[buffer * INPUTS + row / 16u][row % 16u * PITCH + 8u * k + 2u * j + 1u] = pair.y;
          }
        }
      }
      workgroupBarrier();
      if (round == ROUNDS - 1u) {
        let next = min(p + 32u, cols - 32u);
        for (var i = 0u; i < MINE; i++) { // unroll
          for (var k = 0u; k < WORDS; k++) { held[i * WORDS + k] = word(rows[i], next, k, lane); } // unroll
          heads[i] = header(rows[i], next);
        }
        for (var i = 0u; i < X_MINE; i++) { inputs[i] = halves[places[i] + next / 8u]; } // unroll
      }
      for (var k = 0u; k < SLABS; k++) { // unroll
        for (var i = 0u; i < HIGH; i++) { // unroll
          left[i] = subgroupMatrixLoad<Left, row_major>(&ws[buffer * WEIGHTS + down + i], k * 16u, PITCH);
        }
        for (var l = 0u; l < LIMBS; l++) { // unroll
          for (var j = 0u; j < WIDE; j++) { // unroll
            let right = subgroupMatrixLoad<Right, col_major>(&xs[buffer * INPUTS + l * TOKENS + across + j], k * 16u, PITCH);
            for (var i = 0u; i < HIGH; i++) { sums[i][j] = multiplied(left[i], right, sums[i][j]); } // unroll
          }
        }
        if (FINE == 1u && BITS < 16u) {
          for (var i = 0u; i < HIGH; i++) { // unroll
            left[i] = subgroupMatrixLoad<Left, row_major>(&ws[buffer * WEIGHTS + ROWS * FINE + down + i], k * 16u, PITCH);
          }
          for (var j = 0u; j < WIDE; j++) { // unroll
            let right = subgroupMatrixLoad<Right, col_major>(&xs[buffer * INPUTS + across + j], k * 16u, PITCH);
            for (var i = 0u; i < HIGH; i++) { sums[i][j] = multiplied(left[i], right, sums[i][j]); } // unroll
          }
        }
      }
      if (BUFFERS == 1u) { workgroupBarrier(); }
    }
  }
  for (var i = 0u; i < HIGH; i++) { // unroll
    for (var j = 0u; j < WIDE; j++) { // unroll
      workgroupBarrier();
      subgroupMatrixStore<col_major>(&ps[subgroup], 0u, sums[i][j], 16u);
      workgroupBarrier();
      for (var k = 0u; k < SAVED; k++) { // unroll
        let e = (lane % 32u + k * 32u) * (1u + GATED);
        save((down + i) * 16u + e % 16u, (across + j) * 16u + e / 16u, ps[subgroup][e], ps[subgroup][e + GATED]);
      }
    }
  }
}
