// turned: what attention by subgroups turns itself: the queries of a workgroup and the new key, and beside them the new value.
const TURNED: u32 = (QUERIES + 2u) * DIM;
const TURNED_QUADS: u32 = TURN * (TURNED / 4u - 1u) + 1u;
const TURNS: u32 = (TURNED + LANES - 1u) / LANES;
const TERMS: u32 = ADDENDS + 1u / (ADDENDS + 1u); // at least 1
const GATHERED: u32 = ADDENDS / TERMS; // 1: there are addends
const WHOLE_QUADS: u32 = GATHERED * (TURNED / 4u - 1u) + 1u;
const GATHERS: u32 = (WHOLE_QUADS + LANES - 1u) / LANES;

var<workgroup> turned: array<vec4<f32>, TURNED_QUADS>; // the queries and the new key after the rotation, then the value
var<workgroup> whole: array<vec4<f32>, WHOLE_QUADS>;   // the same before it, if there are addends

// element returns an element of a row of x, or, if there are addends, of whole.
fn element(i: u32) -> f32 {
  if (ADDENDS > 0u) { return whole[i / 4u % WHOLE_QUADS][i % 4u]; }
  return x[i / 4u][i % 4u];
}

// new_octet returns an octet of the new key, or value, as the cache has it.
fn new_octet(row: u32, octet: u32) -> vec4<u32> {
  let at = row * DIM / 4u + 2u * octet;
  return packed(turned[at % TURNED_QUADS], turned[(at + 1u) % TURNED_QUADS]);
}

// row_of returns which row of x a row of turned is: those of heads from at on, then a key and a value.
fn row_of(row: u32, at: u32, kv: u32) -> u32 { return select(at + row, HEADS + kv + (row - QUERIES) * KV_HEADS, row >= QUERIES); }

// gather brings to whole what turn needs of token t: it reads all addends before it waits for any.
fn gather(t: u32, at: u32, kv: u32, lane: u32) {
  var sums: array<vec4<f32>, GATHERS>;
  for (var k = 0u; k < GATHERS; k++) { // unroll
    let i = min(lane + k * LANES, WHOLE_QUADS - 1u);
    let quad = row_of(i / (DIM / 4u), at, kv) * (DIM / 4u) + i % (DIM / 4u);
    if (BIAS == 1u) { sums[k] = b[quad]; }
    for (var a = 0u; a < TERMS; a++) { sums[k] += x[(a * (16u * PANELS) + t) * (X_STRIDE / 4u) + quad]; } // unroll
  }
  for (var k = 0u; k < GATHERS; k++) { // unroll
    if (lane + k * LANES < WHOLE_QUADS) { whole[lane + k * LANES] = sums[k]; }
  }
}

// turn brings to turned what head at and those after it need of token t.
fn turn(t: u32, at: u32, kv: u32, position: u32, lane: u32) {
  var by: array<vec2<f32>, TURNS>;
  for (var k = 0u; k < TURNS; k++) { by[k] = angle((lane + k * LANES) % DIM, position); } // unroll
  if (ADDENDS > 0u) {
    gather(t, at, kv, lane);
    workgroupBarrier();
  }
  for (var k = 0u; k < TURNS; k++) { // unroll
    let i = lane + k * LANES;
    let row = i / DIM;
    let e = i % DIM;
    if (row < QUERIES + 2u) {
      let begins = select(t * X_STRIDE + row_of(row, at, kv) * DIM, row * DIM, ADDENDS > 0u);
      var v = element(begins + e);
      if (row <= QUERIES) { v = rotated(v, element(begins + partner(e)), e, by[k]) * select(SCALE, 1.0, row == QUERIES); }
      turned[i / 4u][i % 4u] = v;
    }
  }
}
