// folded: the sums that threads of a subgroup hold, added up by shuffles: four at a time, so that each step halves what is left.
const HELD: u32 = PARTS * TURNS;
const WIDE: u32 = min(PARTS, 4u); // sums that are folded together: a subgroup has four threads at least
const FOLDS: u32 = HELD / WIDE;

var<private> held: array<f32, HELD>;    // this thread's parts of the products [turn][row][token]
var<private> norms: array<f32, TOKENS>; // … and of the squares

// exchange adds up two sums with those of the thread that many threads away: of one pair in this thread, of the other there.
fn exchange(a: f32, b: f32, away: u32, own: u32) -> f32 {
  let far = (own & away) != 0u;
  return select(a, b, far) + subgroupShuffleXor(select(b, a, far), away);
}

// fold adds up what the threads of each subgroup hold: the products to sums, the squares to squares.
fn fold(lane: u32, size: u32, own: u32) {
  let subgroup = lane % ALONG / size;
  for (var k = 0u; k < FOLDS; k++) { // unroll
    let i = k * WIDE;
    var all = held[i];
    if (WIDE == 2u) { all = exchange(all, held[(i + 1u) % HELD], 1u, own); }
    if (WIDE == 4u) {
      all = exchange(exchange(all, held[(i + 1u) % HELD], 1u, own), exchange(held[(i + 2u) % HELD], held[(i + 3u) % HELD], 1u, own), 2u, own);
    }
    for (var m = WIDE; m < size; m *= 2u) { all += subgroupShuffleXor(all, m); }
    if (own < WIDE) { sums[((i / PARTS * TEAMS + lane / ALONG) * PARTS + i % PARTS + own) * GROUPS + subgroup] = all; }
  }
  if (NORM == 0u || lane >= ALONG) { return; }
  for (var t = 0u; t < TOKENS; t++) { // unroll
    let all = subgroupAdd(norms[t]);
    if (own == 0u) { squares[t * GROUPS + subgroup] = all; }
  }
}
