// rounds8: the loop of matvec_int8 over codes and limbs.
// word_of returns which word of a step's panel quad q of a thread becomes: threads' words come by turns, so that they lie in
// different banks.
fn word_of(thread: u32, q: u32) -> u32 { return thread / TURNS * (CHUNK / 4u) + q * TURNS + thread % TURNS; }

// keep_codes writes a thread's codes of a row to a panel, four in a word; keep_limbs four words of limbs.
fn keep_codes(panel: u32, row: u32, thread: u32, codes: vec4<u32>) {
  for (var q = 0u; q < QUADS; q++) { // unroll
    let four = (codes[q / (QUADS / 4u)] >> (q % (QUADS / 4u) * BITS)) & MASK;
    ws[panel][row * PITCH + word_of(thread, q)] = bitcast<i32>(four ^ FLIP);
  }
}

fn keep_limbs(panel: u32, e: u32, four: vec4<u32>) {
  let in = e % X_EACH;
  for (var c = 0u; c < 4u; c++) { // unroll
    xs[panel + e / X_EACH][in / 4u % 16u * PITCH + word_of(in % 4u, in / 64u * 4u + c)] = bitcast<i32>(four[c]);
  }
}

// whole returns sum k of a thread in a tile: of row lane % 16 and token 2·k + lane / 16.
fn whole(panel: u32, tile: u32, k: u32, lane: u32) -> f32 {
  let at = RESULT + tile * 256u + k * 32u + lane;
  if (BOTH == 1u) { return f32(256 * ws[panel][at] + ws[panel][at + 128u]); }
  return f32(ws[panel][at]);
}

// products computes the rows from row0 on for all tokens, and has finish store them.
fn products(row0: u32, lane: u32) {
  let subgroup = lane / 32u % GROUPS; // modulo, so that compilers see that indices are in bounds
  let part = subgroup % ALONG;
  let mine = subgroup / ALONG * 32u + lane % 32u; // among the threads that share activations
  let top = row0 + subgroup / ALONG * (16u * HIGH);
  let thread = lane % 4u;
  let first = lane % 32u / 4u; // its rows are every eighth from here
  var left: array<Left, HIGH>;
  var all: array<Sums, TILES>;  // 256·hi + lo of the activations if they are in two panels
  var acc: array<f32, ALL_PER>; // [row / 16][token / 16][k]
  var codes: array<vec4<u32>, HELD>; // of AHEAD steps
  var heads: array<u32, HEADS>;      // words of h for them
  var fours: array<vec4<u32>, X_MINE>;
  var two: array<vec4<f32>, U_MINE>; // of two tokens each: a unit, and that times the sum of the whole numbers
  for (var a = 0u; a < AHEAD; a++) { // unroll
    for (var i = 0u; i < LINES; i++) { codes[a * LINES + i] = codes_at(top + first + 8u * i, a * ALONG + part, thread); } // unroll
    for (var i = 0u; i < H_EACH; i++) { heads[a * H_EACH + i] = head_at(top + 16u * (i / CHUNKS) + lane % 16u, a * ALONG + part, i % CHUNKS); } // unroll
  }
  for (var i = 0u; i < X_MINE; i++) { fours[i] = limbs_at(part, mine + i * X_LANES); } // unroll
  for (var i = 0u; i < U_MINE; i++) { two[i] = units_at(part, mine + i * X_LANES); } // unroll
  for (var s0 = 0u; s0 < STEPS; s0 += ALONG * AHEAD) {
    for (var a = 0u; a < AHEAD; a++) { // unroll
      let s = s0 + a * ALONG + part;
      let turn = (s0 / ALONG + a) % 2u; // units are read while the next step's are being written
      for (var i = 0u; i < LINES; i++) { // unroll
        keep_codes(subgroup * HIGH + i / 2u, first + i % 2u * 8u, thread, codes[a * LINES + i]);
        codes[a * LINES + i] = codes_at(top + first + 8u * i, s + ALONG * AHEAD, thread);
      }
      for (var i = 0u; i < X_MINE; i++) { // unroll
        if (X_ALL % X_LANES == 0u || mine + i * X_LANES < X_ALL) { keep_limbs(part * X_PANELS, mine + i * X_LANES, fours[i]); }
        fours[i] = limbs_at(s + ALONG, mine + i * X_LANES);
      }
      for (var i = 0u; i < U_MINE; i++) { // unroll
        if (mine + i * X_LANES < U_ALL) { us[(turn * ALONG + part) * U_ALL + mine + i * X_LANES] = two[i]; }
        two[i] = units_at(s + ALONG, mine + i * X_LANES);
      }
      workgroupBarrier();
      for (var c = 0u; c < CHUNKS; c++) { // unroll
        for (var i = 0u; i < TILES; i++) { all[i] = Sums(); } // unroll
        for (var l = 0u; l < LIMBS; l++) { // unroll
          if (l > 0u) {
            for (var i = 0u; i < TILES; i++) { all[i] = raised(all[i]); } // unroll
          }
          for (var k = 0u; k < DEEP; k++) { // unroll
            for (var i = 0u; i < HIGH; i++) { // unroll
              left[i] = subgroupMatrixLoad<Left, row_major>(&ws[subgroup * HIGH + i], (c * DEEP + k) * 8u, PITCH);
            }
            for (var j = 0u; j < WIDE; j++) { // unroll
              let right = subgroupMatrixLoad<Right, col_major>(&xs[part * X_PANELS + j * LIMBS + l], (c * DEEP + k) * 8u, PITCH);
              for (var i = 0u; i < HIGH; i++) { all[i * WIDE + j] = multiplied(left[i], right, all[i * WIDE + j]); } // unroll
            }
          }
        }
        if (BEHIND == 0u) { workgroupBarrier(); } // sums take the place of codes
        for (var i = 0u; i < TILES; i++) { // unroll
          subgroupMatrixStore<col_major>(&ws[subgroup * HIGH + i / WIDE], RESULT + i % WIDE * 256u, all[i], 16u);
        }
        workgroupBarrier();
        for (var i = 0u; i < ALL_PER; i++) { // unroll
          let pair = us[(turn * ALONG + part) * U_ALL + (c * WIDE + i / PER % WIDE) * 8u + lane % 32u / 16u * 4u + i % PER / 2u];
          let unit = select(pair.xy, pair.zw, i % 2u == 1u);
          let own = block(heads[a * H_EACH + i / PER / WIDE * CHUNKS + c], s);
          acc[i] = fma(own.x, fma(unit.x, whole(subgroup * HIGH + i / PER / WIDE, i / PER % WIDE, i % PER, lane % 32u), -own.y * unit.y), acc[i]);
        }
        if (BEHIND == 0u || c + 1u < CHUNKS) { workgroupBarrier(); }
      }
      for (var i = 0u; i < H_EACH; i++) { heads[a * H_EACH + i] = head_at(top + 16u * (i / CHUNKS) + lane % 16u, s + ALONG * AHEAD, i % CHUNKS); } // unroll
    }
  }
  for (var i = 0u; i < TILES; i++) { // unroll
    workgroupBarrier();
    for (var k = 0u; k < PER; k++) { ws[subgroup * HIGH][k * 32u + lane % 32u] = bitcast<i32>(acc[i * PER + k]); } // unroll
    workgroupBarrier();
    finish(row0 + i / WIDE * 16u, i % WIDE * 16u, lane);
  }
}
