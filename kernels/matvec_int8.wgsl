// matvec_int8: matvec for several tokens by subgroup matrices of int8. Codes are multiplied as they are, by activations in two
// limbs; sums within a chunk of columns are exact.
//   w [rows][COLS·BITS/128] vec4<u32>, h, b, y as in matvec   limbs, units, squares: activations as split_int8 makes them
//   one workgroup computes 16·HIGH·DOWN rows for up to 16·WIDE tokens; workgroup x + 65535·y
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/operands8.wgsl: w, h, limbs, units, squares, b, y, shape, step
// with shared/scaled8.wgsl: SQUARES, SQUARES_READ, factor_of
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/head.wgsl: head
// with shared/matrices8.wgsl: Left, Right, Sums, multiplied, raised
// with shared/chunks.wgsl: EACH_COLS, STEP_COLS, CHUNKS, CHUNK, QUADS
// with shared/reads8.wgsl: line, codes_at, limbs_at, units_at, four_heads_at, block, share
// with shared/head8.wgsl: head_at
// with shared/codes8.wgsl: keep_codes
// with shared/kept8.wgsl: keep_limbs, whole, unit_of
// with shared/capped.wgsl: capped
// with shared/ends8.wgsl: TILE, OUT, OUTS, ALL_OUTS, factor, lead, scales, before, sum, square, prepare, finish
// with shared/rounds8.wgsl: products
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const BITS: u32 = 4u;    // 8, 4 or 2
const BLOCK: u32 = 128u; // weights that share a scale
const COLS: u32 = 4096u; // columns stored, a multiple of STEP_COLS
const HEIGHT: u32 = 4096u; // rows
const HIGH: u32 = 1u;    // panels of 16 rows of a subgroup
const WIDE: u32 = 1u;    // panels of 16 tokens
const BOTH: u32 = 0u;    // 1: up to eight tokens, whose limbs are in one panel; matrices are of eight tokens then
const DOWN: u32 = 4u;    // subgroups of 32 threads for different rows
const ALONG: u32 = 2u;   // … and for different columns
const AHEAD: u32 = 2u;   // steps that are read ahead: 1, 2 or 4

const GROUPS: u32 = DOWN * ALONG;
const LANES: u32 = 32u * GROUPS;
const ROWS: u32 = 16u * HIGH * DOWN;
const STEPS: u32 = COLS / STEP_COLS;
const SPAN: u32 = ALONG * AHEAD;             // steps of all subgroups, each of which takes AHEAD that follow each other
const ROUNDS: u32 = (STEPS + SPAN - 1u) / SPAN * AHEAD; // steps of a subgroup
const DEEP: u32 = CHUNK / 32u;               // matrices along a chunk
const ALL_DEEP: u32 = CHUNKS * DEEP;         // … and along a step
const TURNS: u32 = CHUNK / EACH_COLS;        // threads that read a chunk of a row
const LINES: u32 = 2u * HIGH;                // rows that a thread reads a vec4<u32> of
const PITCH: u32 = STEP_COLS / 4u + 4u;      // words of a row of a panel, and 4 for rows to lie in different banks
const X_PANEL: u32 = 16u * PITCH;            // words of a panel
const LIMBS: u32 = 2u - BOTH;                // panels of 16 tokens
const W_PANELS: u32 = GROUPS * HIGH;
const X_PANELS: u32 = WIDE * LIMBS;          // that DOWN subgroups share
const ALL_X: u32 = X_PANELS * ALONG;
const X_EACH: u32 = 16u * QUADS;             // vec4<u32> of a panel of activations
const X_ALL: u32 = X_PANELS * X_EACH;
const X_LANES: u32 = 32u * DOWN;
const X_MINE: u32 = (X_ALL + X_LANES - 1u) / X_LANES;
const TILES: u32 = HIGH * WIDE;
const ALL_TILES: u32 = CHUNKS * TILES;
const PER: u32 = 8u - 4u * BOTH;             // sums that a thread has of a tile
const ALL_PER: u32 = TILES * PER;
const SUM_PITCH: u32 = 20u;                  // 16 rows, and 4 for tokens to lie in different banks
const SUMS: u32 = (16u - 8u * BOTH) * SUM_PITCH;
const P_PANEL: u32 = CHUNKS * WIDE * SUMS;
const HELD: u32 = AHEAD * LINES;
const X_HELD: u32 = AHEAD * X_MINE;
// wgpu's compiler knows no max and min of constants: 1/(n+1) is 1 if n is 0, else 0.
const H_EACH: u32 = AHEAD * STEP_COLS / BLOCK + 1u / (AHEAD * STEP_COLS / BLOCK + 1u); // words of h that a row has for AHEAD steps, at least 1
const HEADS: u32 = HIGH * H_EACH;
const HEAD_FOURS: u32 = H_EACH / 4u + 1u / (H_EACH / 4u + 1u); // at least 1
const FOUR_HEADS: u32 = 1u / (H_EACH % 4u + 1u) * (1u / (COLS / BLOCK % 4u + 1u)) * (1u / (STEPS % AHEAD + 1u)); // 1: they are read by fours
const LEFTS: u32 = HIGH * ALL_DEEP;
const RIGHTS: u32 = 2u * WIDE * ALL_DEEP;
const U_ROW: u32 = 8u - 4u * BOTH;           // vec4<f32> of a chunk's units
const U_ALL: u32 = U_ROW * WIDE * CHUNKS;    // … of a step's
const U_SPAN: u32 = AHEAD * U_ALL;           // … of AHEAD steps
const U_MINE: u32 = (U_SPAN + X_LANES - 1u) / X_LANES;
const ALL_U: u32 = 2u * U_ALL * ALONG;
const MASK: u32 = 0x01010101u * ((1u << BITS) - 1u);
const FLIP: u32 = 0x80808080u * (BITS / 8u); // turns codes 0 … 255 into −128 … 127

// Offsets within a panel are constants where matrices are loaded, so that the compiler need not check them.
var<workgroup> ws: array<array<i32, X_PANEL>, W_PANELS>; // [subgroup][row / 16][row % 16][column / 4]
var<workgroup> xs: array<array<i32, X_PANEL>, ALL_X>;    // [columns' subgroup][token / 16][hi, lo][token % 16][column / 4]
var<workgroup> ps: array<array<i32, P_PANEL>, W_PANELS>; // sums, [subgroup][row / 16][chunk][token / 16][token % 16][row % 16]
var<workgroup> us: array<vec4<f32>, ALL_U>;              // units, [step % 2][columns' subgroup][chunk][token / 2]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  products((group.x + 65535u * group.y) * ROWS, lane);
}
