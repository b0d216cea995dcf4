// keys: the workgroup memory of attention by subgroup matrices, in panels of 16 rows, and how keys and values come into it.
const GROUPS: u32 = 4u;    // subgroups
const KEYS: u32 = 64u;     // that are read at a time, a multiple of 16

const LANES: u32 = 32u * GROUPS;
const QUERIES: u32 = 16u * GROUPS;
const BATCH: u32 = KEYS / 16u;
const DEEP: u32 = DIM / 16u;
const IN: u32 = 2u * DEEP;
const PARTS: u32 = (DIM + KEYS - 1u) / KEYS; // of a query, and of an output
const OWN: u32 = 8u * DEEP;            // elements of the output that a thread adds up
const EIGHTS: u32 = DIM / 8u;
const ALL: u32 = KEYS * EIGHTS;
const MINE: u32 = (ALL + LANES - 1u) / LANES;
const HALF: u32 = KEYS / 2u;
const QUARTER: u32 = KEYS / 4u;
const PITCH: u32 = DIM + 8u;           // of a key or value: rows lie in different banks
const PANEL: u32 = 16u * PITCH;
const SHORT: u32 = KEYS + 8u;          // of a query's weights
const STRIP: u32 = 16u * SHORT;
const RESULTS: u32 = GROUPS * BATCH;
const FULL: f32 = 1024.0;              // of the largest weight: small ones keep their bits in float16

var<workgroup> ws: array<array<f16, STRIP>, GROUPS>; // [query / 16][query % 16][column, or key]
var<workgroup> xs: array<array<f16, PANEL>, BATCH>;  // [key / 16][key % 16][column]: keys, then values
var<workgroup> ps: array<array<f32, 256>, RESULTS>;  // [subgroup, matrix][key or column][query]
var<workgroup> tops: array<f32, LANES>;

// column returns where element e of a query, key or value lies in it: pair k of the eights of four pairs comes from lane t.
// So neighboring threads write neighboring pairs.
fn column(e: u32) -> u32 { return e / 2u % EIGHTS * 8u + e / 2u / EIGHTS * 2u + e % 2u; }

// place returns where this thread's i-th eight elements of a tile lie.
fn place(i: u32, base: u32, tile: u32, newest: u32, lane: u32) -> u32 {
  let e = min(lane + i * LANES, ALL - 1u);
  return (base + min(tile + e / EIGHTS, newest) % CAP) * EIGHTS + e % EIGHTS;
}

// keep writes eight elements to the tile.
fn keep(i: u32, held: vec4<u32>, lane: u32) {
  let e = lane + i * LANES;
  let at = e / EIGHTS % 16u * PITCH + e % EIGHTS * 2u;
  if (ALL % LANES == 0u || e < ALL) {
    for (var k = 0u; k < 4u; k++) { // unroll
      let pair = stored(held[k]);
      xs[e / EIGHTS / 16u][at + k * EIGHTS * 2u] = pair.x;
      xs[e / EIGHTS / 16u][at + k * EIGHTS * 2u + 1u] = pair.y;
    }
  }
}
