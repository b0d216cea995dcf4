// rounds8: the loop of matvec_int8 over codes and limbs.
// products computes the rows from row0 on for all tokens, and has finish store them. While a step is multiplied, the next one goes to
// workgroup memory, and the sums of the one before, which lie there by then, are added up: so nothing waits for a product.
fn products(row0: u32, lane: u32) {
  let subgroup = lane / 32u % GROUPS;
  let part = subgroup % ALONG;
  let mine = subgroup / ALONG * 32u + lane % 32u; // among the threads that share activations
  let top = row0 + subgroup / ALONG * (16u * HIGH);
  let thread = lane % 4u;
  let first = lane % 32u / 4u; // its rows are every eighth from here
  let base = part * AHEAD;     // its first step
  var left: array<Left, LEFTS>;      // [row / 16][column / 32]
  var right: array<Right, RIGHTS>;   // [token / 16][hi, lo][column / 32]
  var all: array<Sums, ALL_TILES>;   // first of the products with hi, then 256 times that and those with lo
  var acc: array<f32, ALL_PER>;      // [row / 16][token / 16][k]
  var codes: array<vec4<u32>, HELD>; // of AHEAD steps
  var heads: array<u32, HEADS>;      // words of h for AHEAD steps, [row / 16][chunk]
  var later: array<u32, HEADS>;      // … and for the AHEAD after them
  var fours: array<vec4<u32>, X_HELD>;
  var two: array<vec4<f32>, U_MINE>; // units of AHEAD steps, of two tokens each, and those times the sums of the whole numbers
  var then: array<vec4<f32>, U_MINE>; // … and of the AHEAD after them
  for (var a = 0u; a < AHEAD; a++) { // unroll
    for (var i = 0u; i < LINES; i++) { codes[a * LINES + i] = codes_at(top + first + 8u * i, base + a, thread); } // unroll
    for (var i = 0u; i < X_MINE; i++) { fours[a * X_MINE + i] = limbs_at(base + a, mine + i * X_LANES); } // unroll
  }
  for (var i = 0u; i < U_MINE; i++) { then[i] = units_at(base, mine + i * X_LANES); } // unroll
  for (var i = 0u; i < HEADS; i++) { later[i] = head_at(top + 16u * (i / H_EACH) + lane % 16u, base, i % H_EACH); } // unroll
  for (var i = 0u; i < LINES; i++) { // unroll
    keep_codes(subgroup * HIGH + i / 2u, first + i % 2u * 8u, thread, codes[i]);
    codes[i] = codes_at(top + first + 8u * i, base + SPAN, thread);
  }
  for (var i = 0u; i < X_MINE; i++) { // unroll
    if (X_ALL % X_LANES == 0u || mine + i * X_LANES < X_ALL) { keep_limbs(part * X_PANELS, mine + i * X_LANES, fours[i]); }
    fours[i] = limbs_at(base + SPAN, mine + i * X_LANES);
  }
  for (var e = mine; e < U_ALL; e += X_LANES) { us[(ALONG + part) * U_ALL + e] = vec4<f32>(); } // of a step before the first
  for (var s0 = 0u; s0 < STEPS; s0 += SPAN) {
    for (var a = 0u; a < AHEAD; a++) { // unroll
      let n = s0 / ALONG + a;
      let s = s0 + base + a;
      let ready = s + 1u + (a + 1u) / AHEAD * (SPAN - AHEAD); // the next step, which was read
      workgroupBarrier();
      for (var k = 0u; k < ALL_DEEP; k++) { // unroll
        for (var i = 0u; i < HIGH; i++) { // unroll
          left[i * ALL_DEEP + k] = subgroupMatrixLoad<Left, row_major>(&ws[subgroup * HIGH + i], k * 8u, PITCH);
        }
        for (var j = 0u; j < 2u * WIDE; j++) { // unroll
          right[j * ALL_DEEP + k] = subgroupMatrixLoad<Right, col_major>(&xs[part * X_PANELS + j / (1u + BOTH)], BOTH * j * (8u * PITCH) + k * 8u, PITCH);
        }
      }
      for (var i = 0u; i < ALL_TILES; i++) { // unroll
        subgroupMatrixStore<col_major>(&ps[subgroup * HIGH + i % TILES / WIDE], (i / TILES * WIDE + i % WIDE) * SUMS, all[i], SUM_PITCH);
      }
      workgroupBarrier();
      for (var c = 0u; c < CHUNKS; c++) { // unroll
        for (var i = 0u; i < TILES; i++) { all[c * TILES + i] = Sums(); } // unroll
        for (var l = 0u; l < 2u; l++) { // unroll
          for (var i = 0u; i < TILES; i++) { if (l > 0u) { all[c * TILES + i] = raised(all[c * TILES + i]); } } // unroll
          for (var k = 0u; k < DEEP; k++) { // unroll
            for (var i = 0u; i < TILES; i++) { // unroll
              all[c * TILES + i] = multiplied(left[i / WIDE * ALL_DEEP + c * DEEP + k], right[(i % WIDE * 2u + l) * ALL_DEEP + c * DEEP + k], all[c * TILES + i]);
            }
          }
        }
      }
      for (var i = 0u; i < LINES; i++) { keep_codes(subgroup * HIGH + i / 2u, first + i % 2u * 8u, thread, codes[(a + 1u) % AHEAD * LINES + i]); } // unroll
      for (var i = 0u; i < X_MINE; i++) { // unroll
        if (X_ALL % X_LANES == 0u || mine + i * X_LANES < X_ALL) { keep_limbs(part * X_PANELS, mine + i * X_LANES, fours[(a + 1u) % AHEAD * X_MINE + i]); }
      }
      for (var i = 0u; i < LINES; i++) { codes[(a + 1u) % AHEAD * LINES + i] = codes_at(top + first + 8u * i, ready + SPAN, thread); } // unroll
      for (var i = 0u; i < X_MINE; i++) { fours[(a + 1u) % AHEAD * X_MINE + i] = limbs_at(ready + SPAN, mine + i * X_LANES); } // unroll
      for (var i = 0u; i < U_MINE; i++) { // unroll
        let e = mine + i * X_LANES;
        if (a == 0u) { two[i] = then[i]; }
        if (e / U_ALL == a) { us[(n % 2u * ALONG + part) * U_ALL + e % U_ALL] = two[i]; }
        if (a == 0u) { then[i] = units_at(s0 + SPAN + base, e); }
      }
      for (var c = 0u; c < CHUNKS; c++) { // unroll
        for (var i = 0u; i < ALL_PER; i++) { // unroll
          let own = block(heads[i / PER / WIDE * H_EACH + ((a + AHEAD - 1u) % AHEAD * STEP_COLS + c * CHUNK) / BLOCK], s - 1u - (AHEAD - a) / AHEAD * (SPAN - AHEAD));
          let unit = unit_of(n + 1u, part, c * WIDE + i / PER % WIDE, i % PER, lane);
          acc[i] += share(own, unit, whole(subgroup * HIGH + i / PER / WIDE, c * WIDE + i / PER % WIDE, i % PER, lane));
        }
      }
      if (a == 0u) {
        for (var i = 0u; i < HEADS; i++) { heads[i] = later[i]; } // unroll
        for (var i = 0u; i < HIGH; i++) { // unroll
          if (FOUR_HEADS == 1u) {
            for (var k = 0u; k < HEAD_FOURS; k++) { // unroll
              let four = four_heads_at(top + 16u * i + lane % 16u, s0 + base + SPAN, k);
              for (var e = 0u; e < 4u; e++) { later[(i * H_EACH + 4u * k + e) % HEADS] = four[e]; } // unroll
            }
          } else {
            for (var k = 0u; k < H_EACH; k++) { later[i * H_EACH + k] = head_at(top + 16u * i + lane % 16u, s0 + base + SPAN, k); } // unroll
          }
        }
      }
    }
  }
  for (var i = 0u; i < TILES; i++) { prepare(i, row0 + i / WIDE * 16u, i % WIDE * 16u, lane); } // unroll
  workgroupBarrier();
  for (var i = 0u; i < ALL_TILES; i++) { // unroll
    subgroupMatrixStore<col_major>(&ps[subgroup * HIGH + i % TILES / WIDE], (i / TILES * WIDE + i % WIDE) * SUMS, all[i], SUM_PITCH);
  }
  workgroupBarrier();
  for (var c = 0u; c < CHUNKS; c++) { // unroll
    for (var i = 0u; i < ALL_PER; i++) { // unroll
      let own = block(heads[i / PER / WIDE * H_EACH + ((AHEAD - 1u) * STEP_COLS + c * CHUNK) / BLOCK], ROUNDS * ALONG - SPAN + base + AHEAD - 1u);
      let unit = unit_of(ROUNDS - 1u, part, c * WIDE + i / PER % WIDE, i % PER, lane);
      acc[i] += share(own, unit, whole(subgroup * HIGH + i / PER / WIDE, c * WIDE + i / PER % WIDE, i % PER, lane));
    }
  }
  for (var i = 0u; i < TILES; i++) { // unroll
    workgroupBarrier();
    for (var k = 0u; k < PER; k++) { ps[subgroup * HIGH][(k % 4u + lane % 32u / 16u * 4u + k / 4u * 8u) * 16u + lane % 16u] = bitcast<i32>(acc[i * PER + k]); } // unroll
    workgroupBarrier();
    finish(i, row0 + i / WIDE * 16u, i % WIDE * 16u, lane);
  }
}
