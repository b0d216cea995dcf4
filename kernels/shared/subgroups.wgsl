// subgroups: adds up the threads' parts of a workgroup's products by subgroupAdd, and stores the sums. Subgroups
// may be of any size; their threads are assumed to be consecutive, which a check on the device confirms.
const GROUPS: u32 = (LANES + 3u) / 4u; // a subgroup has four threads at least
const SUMS: u32 = GROUPS * PARTS;
const SQUARES: u32 = GROUPS * TOKENS;

var<workgroup> sums: array<f32, SUMS>;       // [row][token][subgroup]; then [row][token]
var<workgroup> squares: array<f32, SQUARES>; // [token][subgroup]; then [token]
var<private> subgroup: u32; // of this thread
var<private> leads: bool;   // whether this thread is the first of it

// keep takes a thread's part of product k = row·TOKENS + token.
fn keep(k: u32, lane: u32, part: f32) {
  let all = subgroupAdd(part);
  if (leads) { sums[k * GROUPS + subgroup] = all; }
}

fn sum(r: u32, t: u32) -> f32 { return sums[r * TOKENS + t]; }

fn square(t: u32) -> f32 { return squares[t]; }

// finish adds up and stores the products of workgroup id, whose subgroups have this many threads.
fn finish(id: u32, lane: u32, size: u32) {
  if (NORM == 1u) {
    for (var t = 0u; t < TOKENS; t++) {
      let all = subgroupAdd(squares_from(t, lane, LANES));
      if (leads) { squares[t * GROUPS + subgroup] = all; }
    }
  }
  workgroupBarrier();
  var mine = 0.0;
  var behind = 0.0;
  for (var i = 0u; i * size < LANES; i++) {
    if (lane < PARTS) { mine += sums[lane * GROUPS + i]; }
    if (NORM == 1u && lane < TOKENS) { behind += squares[lane * GROUPS + i]; }
  }
  workgroupBarrier();
  if (lane < PARTS) { sums[lane] = mine; }
  if (NORM == 1u && lane < TOKENS) { squares[lane] = behind; }
  workgroupBarrier();
  var made = 0.0;
  if (lane < PARTS) { made = store(id * ROWS + lane / TOKENS, lane / TOKENS, lane % TOKENS); }
  if (NEXT == 0u) { return; }
  workgroupBarrier();
  if (lane < PARTS) { sums[lane] = made * made; }
  workgroupBarrier();
  if (lane < TOKENS) {
    var all = 0.0;
    for (var r = 0u; r < ROWS; r++) { all += sums[r * TOKENS + lane]; }
    store_square(lane, id, ROWS, all);
  }
}
