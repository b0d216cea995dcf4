// dots: the loop of a matvec over codes and limbs, by integer products of four. Every sum within a block is exact.
const VEC: u32 = 8u * LOAD / BITS;                   // quads of a vector of LOAD words
const SPAN: u32 = min(VEC, 8u);                      // quads of a vector in one block of x
const SPANS: u32 = VEC / SPAN;                       // blocks of x that a vector takes in: 2 for int2 by four words, else 1
const HALVES: u32 = 8u / SPAN;                       // vectors of a block of x: 2 for int8, else 1
const FOURS: u32 = SPAN / 4u;                        // vec4<u32> of each limb
const QUADS: u32 = 8u / BITS;                        // of a word
const HEADS: u32 = (4u * VEC + BLOCK - 1u) / BLOCK;  // blocks of weights that a vector touches
const VECS: u32 = COLS / (4u * VEC);                 // of a row
const BLOCKS: u32 = (WIDTH + 255u) / 256u * 8u;      // that a plane of x has room for
const VECTORS: u32 = DEPTH * ROWS;
const WORDS: u32 = VECTORS * HEADS;
const SPAN_IN: u32 = 2u * FOURS + 1u;                // vectors of x for a span
const EACH_IN: u32 = SPANS * SPAN_IN;                // for a vector of codes
const INS: u32 = DEPTH * EACH_IN;
const CODES: u32 = ROWS * SPAN;
const PARTS: u32 = ROWS * TOKENS;
const MASK: u32 = 0x01010101u * ((1u << BITS) - 1u);
const FLIP: u32 = 0x80808080u * (BITS / 8u);         // turns codes 0 … 255 into −128 … 127

// line returns the row, or the last one.
fn line(row: u32) -> u32 {
  if (HEIGHT % EACH == 0u) { return row; }
  return min(row, HEIGHT - 1u);
}

// within returns which vector of a row is read for the one at v.
fn within(v: u32) -> u32 {
  if (VECS % (DEPTH * ALONG) == 0u) { return v; }
  return min(v, VECS - 1u);
}

// place returns where in x the i-th vector for the codes at v lies: of each span hi, lo and the head.
fn place(t: u32, v: u32, i: u32) -> u32 {
  let block = v / HALVES * SPANS + i / SPAN_IN;
  let k = i % SPAN_IN;
  var plane = 4u;
  if (k < 2u * FOURS) { plane = k / FOURS * 2u + k % FOURS + v % HALVES; }
  return t * (BLOCKS * 5u) + plane * BLOCKS + block;
}

// products computes the part of thread s of the products of a team's rows, counted from row from_row, and the tokens from t0 on.
fn products(from_row: u32, turn: u32, team: u32, t0: u32, s: u32) {
  let row0 = from_row + (turn * TEAMS + team) * ROWS;
  let opaque = shape.exponent & 1u; // 0, but the compiler does not know
  var acc: array<f32, PARTS>;
  var codes: array<vec4<u32>, VECTORS>; // [of a thread][row]
  var words: array<u32, WORDS>;         // of h
  var ins: array<vec4<u32>, INS>;       // of x: [of a thread][span][limb and half; head], of one token
  var fours: array<u32, CODES>;         // four codes in a word each
  var scales: array<f32, ROWS>;
  var zeros: array<i32, ROWS>;
  for (var v0 = 0u; v0 < VECS; v0 += DEPTH * ALONG) {
    var all = 0u;
    if (EARLY == 1u && turn == 0u) { all = bitcast<u32>(old) | bitcast<u32>(weight); }
    for (var d = 0u; d < DEPTH; d++) { // unroll
      let v = within(v0 + d * ALONG + s);
      for (var r = 0u; r < ROWS; r++) { // unroll
        codes[d * ROWS + r] = vector(line(row0 + r) * VECS + v);
        all |= codes[d * ROWS + r].x;
        for (var k = 0u; k < HEADS; k++) { // unroll
          words[(d * ROWS + r) * HEADS + k] = h[line(row0 + r) * (COLS / BLOCK) + v * VEC * 4u / BLOCK + k];
          all |= words[(d * ROWS + r) * HEADS + k];
        }
      }
    }
    for (var i = 0u; i < INS; i++) { // unroll
      ins[i] = x[place(t0, within(v0 + i / EACH_IN * ALONG + s), i % EACH_IN)];
      all |= ins[i].x;
    }
    let mask = MASK | (all & opaque); // so that everything is read before anything is multiplied
    for (var d = 0u; d < DEPTH; d++) { // unroll
      let v = v0 + d * ALONG + s;
      for (var p = 0u; p < SPANS; p++) { // unroll
        for (var r = 0u; r < ROWS; r++) { // unroll
          let word = words[(d * ROWS + r) * HEADS + p * 32u / BLOCK % HEADS];
          scales[r] = unpack2x16float(word).x;
          zeros[r] = (bitcast<i32>(word) >> 16u) - i32(FLIP & 0xffu);
          for (var q = 0u; q < SPAN; q++) { // unroll
            fours[r * SPAN + q] = ((codes[d * ROWS + r][(p * SPAN + q) / QUADS] >> (q % QUADS * BITS)) & mask) ^ FLIP;
          }
        }
        let counts = VECS % (DEPTH * ALONG) == 0u || v < VECS;
        let first = HALVES == 1u || v % 2u == 0u; // what a block has once counts once
        for (var t = 0u; t < TOKENS; t++) { // unroll
          let k0 = d * EACH_IN + p * SPAN_IN;
          if (t > 0u) {
            for (var i = 0u; i < SPAN_IN; i++) { ins[k0 + i] = x[place(t0 + t, within(v), p * SPAN_IN + i)]; } // unroll
          }
          let head = ins[k0 + SPAN_IN - 1u];
          var high = array<i32, ROWS>(); // explicit: not every compiler clears a variable of a loop in each round
          var low = array<i32, ROWS>();
          for (var q = 0u; q < SPAN; q++) { // unroll
            for (var r = 0u; r < ROWS; r++) { // unroll
              high[r] += dot4I8Packed(fours[r * SPAN + q], ins[k0 + q / 4u][q % 4u]);
              low[r] += dot4I8Packed(fours[r * SPAN + q], ins[k0 + FOURS + q / 4u][q % 4u]);
            }
          }
          let whole = select(0, bitcast<i32>(head.y), first);
          let unit = select(0.0, bitcast<f32>(head.x), counts);
          for (var r = 0u; r < ROWS; r++) { // unroll
            acc[r * TOKENS + t] = fma(unit * scales[r], f32(128 * high[r] + low[r] - zeros[r] * whole), acc[r * TOKENS + t]);
          }
          if (NORM == 1u && turn == 0u) { norms[t] += select(0.0, bitcast<f32>(head.z), first && counts); }
        }
      }
    }
  }
  for (var k = 0u; k < PARTS; k++) { held[turn * PARTS + k] = acc[k]; } // unroll
}
