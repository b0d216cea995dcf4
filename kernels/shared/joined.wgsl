// joined: the last workgroup that ends joins what all that share heads of a token have stored, each its part.
//   parts [t][HEADS/QUERIES]: [SPLITS][WORDS], then how many are stored; zeros before a dispatch and after it
const SUMS: u32 = 4u * OUTS;                     // of a part: the first elements of all quads, then the second …
const WORDS: u32 = SUMS + 2u * QUERIES;          // … and for each query Σ exp(s−best), best
const EVERY: u32 = SPLITS * WORDS + 1u;
const PARTS: u32 = JOIN * (SPLITS - 1u) + 1u;
const PIECES: u32 = JOIN * ((SUMS + LANES - 1u) / LANES - 1u) + 1u; // sums of a part that a thread takes
const TAKEN: u32 = PIECES * PARTS;
const ENDS: u32 = PARTS * QUERIES;

var<workgroup> part_ends: array<vec2<f32>, ENDS>; // Σ exp(s−best), best
var<workgroup> shares: array<vec2<f32>, ENDS>;    // the factor of a part's sums, and what it adds to Σ exp(s−best)
var<workgroup> before: u32;                       // parts that were stored before this one

// join_last counts the part that this workgroup has stored, and joins all if it was the last.
fn join_last(base: u32, token: u32, head: u32, lane: u32) {
  workgroupBarrier();
  if (lane == 0u) { before = atomicAdd(&parts[base + SPLITS * WORDS], 1u); }
  if (workgroupUniformLoad(&before) + 1u == SPLITS) { join_parts(base, token, head, lane); }
}

// tell stores a number for the workgroup that comes last. WGSL does not promise that it sees what others stored once it sees their
// count: so a word is 0 until it is stored, never 0 then, and 0 again once it was taken.
fn tell(at: u32, v: f32) {
  let word = bitcast<u32>(v);
  atomicStore(&parts[at], select(word, 0x80000000u, word == 0u));
}

// take takes a word, or 0 if it is not there yet.
fn take(at: u32) -> u32 { return atomicExchange(&parts[at], 0u); }

// join_parts joins the parts, and leaves zeros behind.
fn join_parts(base: u32, token: u32, head: u32, lane: u32) {
  var taken: array<u32, TAKEN>;
  for (var k = 0u; k < PIECES; k++) { // unroll
    for (var s = 0u; s < PARTS; s++) { // unroll
      if (lane + k * LANES < SUMS) { taken[k * PARTS + s] = take(base + s * WORDS + lane + k * LANES); }
    }
  }
  for (var i = lane; i < ENDS; i += LANES) {
    let at = base + i / QUERIES * WORDS + SUMS + 2u * (i % QUERIES);
    var end = vec2<u32>(take(at), take(at + 1u));
    while (end.x == 0u) { end.x = take(at); }
    while (end.y == 0u) { end.y = take(at + 1u); }
    part_ends[i] = bitcast<vec2<f32>>(end);
  }
  workgroupBarrier();
  for (var i = lane; i < ENDS; i += LANES) {
    var top = -1e30;
    for (var s = 0u; s < PARTS; s++) { top = max(top, part_ends[s * QUERIES + i % QUERIES].y); } // unroll
    let share = exp(part_ends[i].y - top);
    shares[i] = vec2<f32>(share, share * part_ends[i].x);
  }
  if (lane == 0u) { atomicStore(&parts[base + SPLITS * WORDS], 0u); }
  workgroupBarrier();
  for (var k = 0u; k < PIECES; k++) { // unroll
    let j = lane + k * LANES;
    if (j < SUMS) {
      let i = j % OUTS;
      var all = 0.0;
      var out = 0.0;
      for (var s = 0u; s < PARTS; s++) { // unroll
        let share = shares[s * QUERIES + i / QUADS];
        var word = taken[k * PARTS + s];
        while (word == 0u) { word = take(base + s * WORDS + j); }
        all += share.y;
        out += share.x * bitcast<f32>(word);
      }
      outs[0][i][j / OUTS] = out / all;
    }
  }
  workgroupBarrier();
  for (var r = 0u; r < ROUNDS; r++) { // unroll
    let i = min(lane + r * LANES, OUTS - 1u);
    store_quad(outs[0][i], token, head, i, lane, lane + r * LANES < OUTS);
  }
}
