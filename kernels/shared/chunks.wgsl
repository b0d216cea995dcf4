// chunks: how matvec_int8 goes through the columns of a stored row. Four threads read four vec4<u32> of a row in a step; a
// step is chunks of columns that share a scale.
const EACH_COLS: u32 = 128u / BITS;            // columns of a vec4<u32>
const STEP_COLS: u32 = 4u * EACH_COLS;         // of a step
const CHUNKS: u32 = (STEP_COLS + BLOCK - 1u) / BLOCK;
const CHUNK: u32 = STEP_COLS / CHUNKS;         // columns of a chunk: a multiple of 32 and of EACH_COLS
const QUADS: u32 = EACH_COLS / 4u;             // words of a panel that a vec4<u32> of codes becomes
