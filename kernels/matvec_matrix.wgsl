// matvec_matrix: matvec for several tokens by subgroup matrices of float16. All tokens are in one tile, and the subgroups of a
// workgroup divide the columns, so that few rows keep a GPU busy and weights are read once.
//   w [rows][COLS·BITS/128] vec4<u32>, h, b, y as in matmul   xs, units: activations as split_panels makes them
//   one workgroup computes 16·HIGH rows for up to 16·WIDE tokens; workgroup x + 65535·y
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/head.wgsl: head
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/steps.wgsl: EACH_COLS, STEP_COLS, ROUND_WORDS, PAIRS
// with shared/matrices.wgsl: Left, Right, Sums, multiplied
// with shared/halves.wgsl: code, decoded, lost
// with shared/rounds.wgsl: codes_at, heads_at, products
enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const BITS: u32 = 4u;    // 8, 4 or 2
const BLOCK: u32 = 128u; // weights that share a scale
const COLS: u32 = 4096u; // columns stored, a multiple of STEP_COLS
const HEIGHT: u32 = 4096u; // rows
const HIGH: u32 = 2u;    // panels of 16 rows
const WIDE: u32 = 1u;    // panels of 16 tokens
const ALONG: u32 = 4u;   // subgroups of 32 threads that divide the columns
const FINE: u32 = 0u;    // 1: what weights lose to float16 is multiplied, too
const BUFFERS: u32 = 2u; // 2: a round is decoded while other subgroups still multiply the one before
const EARLY: u32 = 1u;   // 1: a round's activations are read before its weights are decoded
const CHAINS: u32 = 1u;  // 2: products with hi and with lo add up on their own, so that they wait less for each other

const LANES: u32 = 32u * ALONG;
const ROWS: u32 = 16u * HIGH;
const LINES: u32 = 2u * HIGH;             // rows that a thread decodes a part of
const ROUNDS: u32 = STEP_COLS / 64u;
const STEPS: u32 = COLS / STEP_COLS;
const HEADS: u32 = (EACH_COLS + BLOCK - 1u) / BLOCK; // blocks that a vec4<u32> touches
const WORDS: u32 = LINES * HEADS;
const PITCH: u32 = 72u;                   // of a row of a panel: 64 columns, and 8 for rows to lie in different banks
const PANEL: u32 = 16u * PITCH;
const KINDS: u32 = 1u + FINE;
const OWN: u32 = HIGH * KINDS;            // panels of a subgroup
const PANELS: u32 = OWN * ALONG * BUFFERS;
const MASK: u32 = 0x10001u * ((1u << BITS) - 1u);
const OUT: u32 = 256u / (1u + GATED);     // elements that 16 rows and tokens make
const RIGHTS: u32 = 8u * WIDE;
const PARTS: u32 = ALONG * CHAINS;
const DEEP: u32 = 4u * ROUNDS;            // matrices of activations along a step

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> xs: array<array<f16, 256>>;
@group(0) @binding(3) var<storage, read> units: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;
@group(0) @binding(7) var<uniform> step: Step;

// Offsets within a panel are constants where matrices are loaded, so that the compiler need not check them.
var<workgroup> ws: array<array<f16, PANEL>, PANELS>; // [buffer][subgroup][hi, lo][row / 16][row % 16][column]
var<workgroup> ps: array<array<f32, 256>, PARTS>;    // sums of each subgroup and chain, [token][row]
var<private> unit: f32;                              // of the token whose element is made

// sum adds up the subgroups' sums of row r and token t, of 16 each.
fn sum(r: u32, t: u32) -> f32 {
  var all = 0.0;
  for (var i = 0u; i < PARTS; i++) { all += ps[i][t * 16u + r]; } // unroll
  return all * unit;
}

fn square(t: u32) -> f32 { return 1.0; }

// finish stores what 16 rows and 16 tokens have become.
fn finish(row0: u32, t0: u32, lane: u32) {
  for (var e = lane; e < OUT; e += LANES) {
    let r = e % (16u / (1u + GATED)) * (1u + GATED);
    let t = e / (16u / (1u + GATED));
    if (row0 + r < HEIGHT && t0 + t < step.n) {
      unit = units[t0 + t];
      put(element(row0 + r, t0 + t), made(row0 + r, r, t));
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  products((group.x + 65535u * group.y) * ROWS, lane);
}
