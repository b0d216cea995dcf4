// matvec_slices: matvec_int8 for 17 to 32 tokens, with activations in registers: a subgroup keeps those of its slice of columns, as
// matrices, while it multiplies PANELS panels of 16 rows by them. The sums of all slices are added up as they become floats.
//   w [rows][COLS·BITS/128] vec4<u32>, h, b, y as in matvec   limbs, units, squares: activations as split_int8 makes them
//   one workgroup computes 16·PANELS rows for up to 16·WIDE tokens, of one of PARTS parts of the columns; workgroup x + 65535·y
//   with several parts, y is [part][16·WIDE][HEIGHT] f32, for what reads it next or matvec_join to add up
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/operands8.wgsl: w, h, limbs, units, squares, b, y, shape, step
// with shared/scaled8.wgsl: SQUARES, SQUARES_READ, factor_of
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/head.wgsl: head
// with shared/matrices8.wgsl: Left, Right, Sums, multiplied, raised
// with shared/chunks.wgsl: EACH_COLS, STEP_COLS, CHUNKS, CHUNK, QUADS
// with shared/reads8.wgsl: line, codes_at, limbs_at, units_at, four_heads_at, block, share
// with shared/codes8.wgsl: keep_codes
// with shared/held8.wgsl: keep_limbs, token, whole, unit_at
// with shared/turns8.wgsl: products
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const BITS: u32 = 4u;
const BLOCK: u32 = 128u; // weights that share a scale: those of a step
const COLS: u32 = 4096u; // columns stored, a multiple of 512
const HEIGHT: u32 = 4096u; // rows
const WIDE: u32 = 2u;    // panels of 16 tokens
const PANELS: u32 = 7u;  // panels of 16 rows
const AHEAD: u32 = 1u;   // panels that are read ahead, up to four: PANELS is a multiple
const PARTS: u32 = 1u;   // of a multiple of 512 columns

const SLICES: u32 = 4u;  // subgroups of 32 threads, each for a step of columns
const BOTH: u32 = 0u;
const LANES: u32 = 32u * SLICES;
const ROWS: u32 = 16u * PANELS;
const STEPS: u32 = COLS / STEP_COLS;
const SPAN: u32 = SLICES;
const PART: u32 = STEPS / PARTS;
const TURNS: u32 = 4u;                       // threads that read a step of a row
const DEEP: u32 = STEP_COLS / 32u;           // matrices along a step
const PITCH: u32 = STEP_COLS / 4u + 4u;      // words of a row of a panel, and 4 for rows to lie in different banks
const SUM_PITCH: u32 = 16u * WIDE + 4u;      // the same for sums of a token
const X_PANEL: u32 = 16u * PITCH;            // words of a panel of either
const W_PANELS: u32 = 2u * SLICES;
const X_EACH: u32 = 16u * QUADS;             // vec4<u32> of a panel of activations
const X_ALL: u32 = 2u * WIDE * X_EACH;
const X_MINE: u32 = 2u * X_EACH / 32u;       // … that a thread reads of 16 tokens
const U_ROW: u32 = 8u;                       // vec4<f32> of the units of 16 tokens
const RIGHTS: u32 = 2u * WIDE * DEEP;
const EACH: u32 = 8u * WIDE / SLICES;        // tokens of a thread, 2 or 4 that follow each other
const ALL_PER: u32 = PANELS * EACH;
const HELD: u32 = 2u * AHEAD;
const UNITS: u32 = SLICES * EACH;
const MASK: u32 = 0x01010101u * ((1u << BITS) - 1u);
const FLIP: u32 = 0x80808080u * (BITS / 8u); // turns codes 0 … 255 into −128 … 127
const OUT: u32 = 256u * WIDE / (1u + GATED); // elements of a panel's rows and tokens

// [subgroup] codes, [row % 16][column / 4], [SLICES + subgroup] sums, [token % 16][token / 16][row % 16]; between turns both are for limbs.
var<workgroup> ws: array<array<i32, X_PANEL>, W_PANELS>;
var<private> factor: f32; // of the token whose element is made
var<private> lead: u32;   // the panel that has the sums of the rows

fn sum(r: u32, t: u32) -> f32 { return bitcast<f32>(ws[SLICES + lead % SLICES][t * 16u + r]) * factor; }

fn square(t: u32) -> f32 { return 1.0; }

// finish stores what count panels of rows have become.
fn finish(row0: u32, part: u32, count: u32, lane: u32) {
  for (var e = lane; e < OUT * count; e += LANES) {
    let r = e % (16u / (1u + GATED)) * (1u + GATED);
    let t = e % OUT / (16u / (1u + GATED));
    let row = row0 + e / OUT * 16u + r;
    if (row < HEIGHT && t < step.n) {
      factor = factor_of(t);
      lead = e / OUT;
      if (PARTS > 1u) {
        y[(part * (16u * WIDE) + t) * HEIGHT + row] = sum(r, t);
      } else {
        put(element(row, t), made(row, r, t));
      }
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = group.x + 65535u * group.y;
  products(index / PARTS * ROWS, index % PARTS, lane);
}
