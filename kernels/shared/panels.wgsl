// panels: the workgroup memory of a tile's products by subgroup matrices, in panels of 16 rows.
const HIGH: u32 = 4u;
const WIDE: u32 = 4u;
const DOWN: u32 = 2u;
const ACROSS: u32 = 2u;
const LIMBS: u32 = 2u;   // 2: hi and lo of the activations are multiplied, 1: only hi
const FINE: u32 = 0u;    // 1: what weights lose to float16 is multiplied with hi, too
const BUFFERS: u32 = 1u; // 2: columns are decoded beside those that are being multiplied
const DEPTH: u32 = 16u;  // columns of a step that lie here at a time, 16 or 32

const GROUPS: u32 = DOWN * ACROSS;
const LANES: u32 = GROUPS * 32u;
const ROWS: u32 = HIGH * DOWN;         // panels of 16 rows
const TOKENS: u32 = WIDE * ACROSS;     // panels of 16 tokens
const INPUTS: u32 = TOKENS * LIMBS;
const WEIGHTS: u32 = ROWS * (1u + FINE);
const W_PANELS: u32 = WEIGHTS * BUFFERS;
const X_PANELS: u32 = INPUTS * BUFFERS;
const ROUNDS: u32 = 32u / DEPTH;       // of a step
const PAIRS: u32 = DEPTH / 8u;         // that a thread writes of eight codes in a round
const SLABS: u32 = DEPTH / 16u;        // matrices along a round
const PITCH: u32 = DEPTH + 8u;         // of a row of a panel: 8 more than columns, for rows to lie in different banks
const PANEL: u32 = 16u * PITCH;
const WORDS: u32 = (BITS + 3u) / 4u;   // words that eight codes take, half of one for BITS = 2
const ALL: u32 = 64u * ROWS;           // eights of codes that a step decodes: four of each row
const MINE: u32 = (ALL + LANES - 1u) / LANES;
const HELD: u32 = MINE * WORDS;
const X_ALL: u32 = 64u * INPUTS;       // eights of activations in a step
const X_MINE: u32 = (X_ALL + LANES - 1u) / LANES;
const SAVED: u32 = 8u / (1u + GATED);  // results that a thread saves of 16 rows and 16 tokens
const MASK: u32 = 0x10001u * ((1u << (BITS % 16u)) - 1u);

// Offsets within a panel are constants where matrices are loaded, so that the compiler need not check them.
var<workgroup> ws: array<array<f16, PANEL>, W_PANELS>; // [hi, lo][row / 16][row % 16][column]
var<workgroup> xs: array<array<f16, PANEL>, X_PANELS>; // [limb][token / 16][token % 16][column]
var<workgroup> ps: array<array<f32, 256>, GROUPS>;      // of each subgroup, [token][row]
