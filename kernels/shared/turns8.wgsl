// turns8: the loop of matvec_slices.
// products computes ROWS rows from row0 on for all tokens, of the columns of a part, and has finish store them. In a turn, each subgroup
// loads the activations of its slice as matrices and multiplies all panels by them; while a panel is multiplied, the next one goes to
// workgroup memory, and before that the sums of the one before are added up.
fn products(row0: u32, part: u32, lane: u32) {
  let start = part * PART; // its first step
  let subgroup = lane / 32u % SLICES;
  let thread = lane % 4u;
  let first = lane % 32u / 4u; // its rows are every eighth from here
  let mine = token(lane);
  var left: array<Left, DEEP>;       // [column / 32]
  var right: array<Right, RIGHTS>;   // [token / 16][hi, lo][column / 32]
  var all: array<Sums, WIDE>;        // first of the products with hi, then 256 times that and those with lo
  var acc: array<f32, ALL_PER>;      // [panel][j]
  var codes: array<vec4<u32>, HELD>; // of AHEAD panels
  var heads: array<vec4<u32>, AHEAD>;
  var fours: array<vec4<u32>, X_MINE>;
  var unit: array<vec2<f32>, UNITS>;
  for (var a = 0u; a < AHEAD; a++) { // unroll
    for (var i = 0u; i < 2u; i++) { codes[a * 2u + i] = codes_at(row0 + a * 16u + first + 8u * i, start + subgroup, thread); } // unroll
    heads[a] = four_heads_at(row0 + a * 16u + lane % 16u, start, 0u);
  }
  for (var i = 0u; i < X_MINE; i++) { fours[i] = limbs_at(start + subgroup, lane % 32u + 32u * i); } // unroll
  for (var s = start; s < start + PART; s += SLICES) { // the first step of a turn
    for (var c = 0u; c < SLICES; c++) { // unroll
      for (var j = 0u; j < EACH; j++) { unit[c * EACH + j] = unit_at(s + c, mine + j); } // unroll
    }
    for (var t = 0u; t < WIDE; t++) { // unroll
      workgroupBarrier();
      for (var i = 0u; i < X_MINE; i++) { // unroll
        keep_limbs(subgroup + i / (X_MINE / 2u) * SLICES, lane % 32u + 32u * i, fours[i]);
        if (t + 1u < WIDE) { fours[i] = limbs_at(s + subgroup, (t + 1u) * (2u * X_EACH) + lane % 32u + 32u * i); }
      }
      workgroupBarrier();
      for (var k = 0u; k < 2u * DEEP; k++) { // unroll
        right[t * 2u * DEEP + k] = subgroupMatrixLoad<Right, col_major>(&ws[subgroup + k / DEEP * SLICES], k % DEEP * 8u, PITCH);
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < 2u; i++) { // unroll
      keep_codes(subgroup, first + 8u * i, thread, codes[i]);
      codes[i] = codes_at(row0 + AHEAD % PANELS * 16u + first + 8u * i, s + AHEAD / PANELS * SLICES + subgroup, thread);
    }
    for (var p = 0u; p < PANELS + 1u; p++) { // unroll
      workgroupBarrier();
      if (p < PANELS) {
        for (var k = 0u; k < DEEP; k++) { left[k] = subgroupMatrixLoad<Left, row_major>(&ws[subgroup], k * 8u, PITCH); } // unroll
      }
      if (p > 0u) { // the sums of the panel before
        for (var c = 0u; c < SLICES; c++) { // unroll
          let own = block(heads[(p + AHEAD - 1u) % AHEAD][c], s + c);
          for (var j = 0u; j < EACH; j++) { acc[(p + PANELS - 1u) % PANELS * EACH + j] += share(own, unit[c * EACH + j], whole(c, mine, j, lane)); } // unroll
        }
        heads[(p + AHEAD - 1u) % AHEAD] = four_heads_at(row0 + (p + AHEAD - 1u) % PANELS * 16u + lane % 16u, s + (p + AHEAD - 1u) / PANELS * SLICES, 0u);
      }
      if (p < PANELS) {
        workgroupBarrier();
        for (var i = 0u; i < WIDE; i++) { all[i] = Sums(); } // unroll
        for (var l = 0u; l < 2u; l++) { // unroll
          for (var i = 0u; i < WIDE; i++) { if (l > 0u) { all[i] = raised(all[i]); } } // unroll
          for (var k = 0u; k < DEEP; k++) { // unroll
            for (var i = 0u; i < WIDE; i++) { all[i] = multiplied(left[k], right[(i * 2u + l) * DEEP + k], all[i]); } // unroll
          }
        }
        if (p + 1u < PANELS) {
          for (var i = 0u; i < 2u; i++) { // unroll
            keep_codes(subgroup, first + 8u * i, thread, codes[(p + 1u) % AHEAD * 2u + i]);
            codes[(p + 1u) % AHEAD * 2u + i] = codes_at(row0 + (p + 1u + AHEAD) % PANELS * 16u + first + 8u * i, s + (p + 1u + AHEAD) / PANELS * SLICES + subgroup, thread);
          }
        } else {
          for (var i = 0u; i < X_MINE; i++) { fours[i] = limbs_at(s + SLICES + subgroup, lane % 32u + 32u * i); } // unroll
        }
        for (var i = 0u; i < WIDE; i++) { subgroupMatrixStore<col_major>(&ws[SLICES + subgroup], i * 16u, all[i], SUM_PITCH); } // unroll
      }
    }
  }
  for (var p = 0u; p < PANELS; p++) { // unroll
    if (p % SLICES == 0u) { workgroupBarrier(); }
    for (var j = 0u; j < EACH; j++) { ws[SLICES + p % SLICES][(mine + j) % (16u * WIDE) * 16u + lane % 16u] = bitcast<i32>(acc[p * EACH + j]); } // unroll
    if (p % SLICES + 1u == SLICES || p + 1u == PANELS) {
      workgroupBarrier();
      finish(row0 + p / SLICES * SLICES * 16u, part, p % SLICES + 1u, lane);
    }
  }
}
