// lanes: adds up the threads' parts of a workgroup's products in workgroup memory, and stores the sums.
const PER: u32 = LANES / PARTS; // lanes that add up one product
const SUMS: u32 = LANES * PARTS;
const SQUARES: u32 = LANES * TOKENS;

var<workgroup> sums: array<f32, SUMS>;       // [row][token][lane]
var<workgroup> squares: array<f32, SQUARES>; // [token][lane]

// keep takes a thread's part of product k = row·TOKENS + token.
fn keep(k: u32, lane: u32, part: f32) { sums[k * LANES + lane] = part; }

fn sum(r: u32, t: u32) -> f32 { return sums[(r * TOKENS + t) * PER]; }

fn square(t: u32) -> f32 { return squares[t * LANES]; }

// finish adds up and stores the products of workgroup id.
fn finish(id: u32, lane: u32) {
  if (NORM == 1u) {
    for (var t = 0u; t < TOKENS; t++) { squares[t * LANES + lane] = squares_from(t, lane, LANES); }
  }
  workgroupBarrier();
  let p = lane / PER; // row p / TOKENS of token p % TOKENS
  var mine = 0.0;
  for (var i = lane % PER; i < LANES; i += PER) { mine += sums[p * LANES + i]; }
  workgroupBarrier();
  sums[lane] = mine;
  for (var half = LANES / 2u; half > 0u && NORM == 1u; half /= 2u) {
    workgroupBarrier();
    for (var i = 0u; i < TOKENS; i++) {
      if (lane < half) { squares[i * LANES + lane] += squares[i * LANES + lane + half]; }
    }
  }
  workgroupBarrier();
  for (var half = PER / 2u; half > 0u; half /= 2u) {
    if (lane % PER < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  var made = 0.0;
  if (lane % PER == 0u) { made = store(id * ROWS + p / TOKENS, p / TOKENS, p % TOKENS); }
  if (NEXT == 0u) { return; }
  workgroupBarrier();
  if (lane % PER == 0u) { squares[p] = made * made; }
  workgroupBarrier();
  if (lane < TOKENS) {
    var all = 0.0;
    for (var r = 0u; r < ROWS; r++) { all += squares[r * TOKENS + lane]; }
    store_square(lane, id, ROWS, all);
  }
}
