// chunked: stores what attention makes as matvec_int8 reads it.
const BITS: u32 = 4u;        // of the codes that they are for
const BOTH: u32 = 0u;        // as there
const PANELS: u32 = 1u;      // of 16 tokens
const UNIT_COLS: u32 = 128u; // columns that share a unit, at most 4·LANES
const UNITS: u32 = 0u;       // where units begin in next
const FOURS: u32 = UNIT_COLS / 4u;

var<workgroup> across: array<f32, TEAMS>; // of the teams of SIZE threads that share a chunk

// hand_chunk stores quad p of a token; FOURS threads have a chunk.
fn hand_chunk(out: vec4<f32>, token: u32, p: u32, lane: u32, own: bool) {
  var most = max(max(abs(out.x), abs(out.y)), max(abs(out.z), abs(out.w)));
  for (var m = 1u; m < min(FOURS, SIZE); m *= 2u) { most = max(most, beside(most, m)); }
  if (FOURS > SIZE) {
    across[lane / SIZE] = most;
    workgroupBarrier();
    for (var i = 0u; i < FOURS / SIZE; i++) { most = max(most, across[lane / FOURS * (FOURS / SIZE) + i]); }
    workgroupBarrier();
  }
  let unit = unit8(most);
  let whole = whole8(out, unit);
  var all = f32(whole.x + whole.y + whole.z + whole.w); // exact: below 2²⁴
  for (var m = 1u; m < min(FOURS, SIZE); m *= 2u) { all += beside(all, m); }
  if (FOURS > SIZE) {
    across[lane / SIZE] = all;
    workgroupBarrier();
    all = 0.0;
    for (var i = 0u; i < FOURS / SIZE; i++) { all += across[lane / FOURS * (FOURS / SIZE) + i]; }
    workgroupBarrier();
  }
  if (!own) { return; }
  let words = words8(whole);
  next[place8(p, token, 0u, 32u / BITS, PANELS, BOTH)] = words.x;
  next[place8(p, token, 1u, 32u / BITS, PANELS, BOTH)] = words.y;
  if (p % FOURS > 0u) { return; }
  let at = UNITS + ((p / FOURS * PANELS + token / 16u) * 16u + token % 16u) * 2u;
  next[at] = bitcast<u32>(unit);
  next[at + 1u] = bitcast<u32>(unit * all);
}
