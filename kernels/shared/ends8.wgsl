// ends8: what becomes of the sums of matvec_int8.
const TILE: u32 = 256u - 128u * BOTH;        // elements of rows and tokens
const OUT: u32 = TILE / (1u + GATED);
const OUTS: u32 = (OUT * DOWN + LANES - 1u) / LANES; // that a thread stores of a tile
const ALL_OUTS: u32 = OUTS * TILES;

var<private> factor: f32;                  // of the token whose element is made
var<private> lead: u32;                    // the first subgroup that has sums of the rows
var<private> scales: array<f32, ALL_OUTS>; // what elements that this thread stores are multiplied by, [tile][i]
var<private> before: array<f32, ALL_OUTS>; // … and what they are added to

// sum adds up the sums of the subgroups for different columns, of row r and token t, of 16 each.
fn sum(r: u32, t: u32) -> f32 {
  var all = 0.0;
  for (var i = 0u; i < ALONG; i++) { all += bitcast<f32>(ps[(lead + i) * HIGH % W_PANELS][t * 16u + r]); } // unroll
  return all * factor;
}

fn square(t: u32) -> f32 { return 1.0; }

// prepare reads what finish needs, before it waits for sums.
fn prepare(tile: u32, row0: u32, t0: u32, lane: u32) {
  for (var i = 0u; i < OUTS; i++) { // unroll
    let e = lane + i * LANES;
    let row = row0 + e / OUT % DOWN * (16u * HIGH) + e % (16u / (1u + GATED)) * (1u + GATED);
    let t = min(t0 + e % OUT / (16u / (1u + GATED)), step.n - 1u);
    scales[tile * OUTS + i] = factor_of(t);
    if (shape.add == 1u) { before[tile * OUTS + i] = y[element(line(row), t)]; }
  }
}

// finish stores what 16 rows of each group of subgroups and 16 tokens have become.
fn finish(tile: u32, row0: u32, t0: u32, lane: u32) {
  for (var i = 0u; i < OUTS; i++) { // unroll
    let e = lane + i * LANES;
    let d = e / OUT;
    let r = e % (16u / (1u + GATED)) * (1u + GATED);
    let t = e % OUT / (16u / (1u + GATED));
    let row = row0 + d * (16u * HIGH) + r;
    if (d < DOWN && row < HEIGHT && t0 + t < step.n) {
      factor = scales[tile * OUTS + i];
      lead = d * ALONG;
      var v = capped(made(row, r, t));
      if (shape.add == 1u) { v += before[tile * OUTS + i]; }
      y[element(row, t0 + t)] = v;
    }
  }
}
