// layout: how repack lays out the codes of a row. A word holds 8/BITS quads of four columns: column i of its quad j lies at
// bit 8·i + BITS·j, so that four codes become the bytes of a word at once. Quads fill vec4<u32>.
const WOVEN: u32 = 1u;       // 1: the quads of a block are interleaved across its vectors, for products of floats
const VEC: u32 = 32u / BITS; // quads of a vec4<u32>
const SHARE: u32 = 1u + WOVEN * ((BLOCK * BITS + 127u) / 128u - 1u); // vectors that the quads of a block alternate between
