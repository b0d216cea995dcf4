// layout: how repack lays out the codes of a row. Quads, of four columns each, fill vec4<u32>; those of one block
// are interleaved across its vectors.
const VEC: u32 = 32u / BITS;                     // quads of a vec4<u32>
const SHARE: u32 = (BLOCK * BITS + 127u) / 128u; // vectors that share a block
