// steps: how matvec_matrix goes through the columns of a stored row. Four threads take the row's vec4<u32> by turns: a step is
// four of them, cut into rounds of 64 columns, 16 of each thread, which come by pairs.
const EACH_COLS: u32 = 128u / BITS;         // columns of a vec4<u32>
const STEP_COLS: u32 = 4u * EACH_COLS;      // of a step
const ROUND_WORDS: u32 = BITS / 2u;         // that a thread decodes in a round
const PAIRS: u32 = 16u / BITS;              // of codes, 16 bits apart, in a word
