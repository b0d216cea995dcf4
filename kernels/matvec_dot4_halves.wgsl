// matvec_dot4_halves: matvec_dot4 for codes of two bits, of which a thread reads half a vector at once: as many columns as a block of
// limbs has, so that adjacent threads read adjacent limbs.
//   w [rows][cols/32] vec2<u32>, all else as in matvec_dot4
// with shared/shape.wgsl: Shape
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/capped.wgsl: capped
// with shared/limbed.wgsl: BITS, BLOCK, COLS, WIDTH, HEIGHT, TOKENS, SETS, ROWS, DEPTH, ALONG, LANES, TURNS, NEXT, TEAMS, EACH, OUT, OUTS, OUT_QUADS, PER, NEXT_BLOCKS, GROUPS, SUMS, SQUARES, EARLY, h, x, g, b, y, next, shape, sums, squares, groups, old, weight, sum, square, early, put, finish, main
// with shared/dots.wgsl: VEC, SPAN, SPANS, HALVES, FOURS, QUADS, HEADS, VECS, BLOCKS, VECTORS, WORDS, SPAN_IN, EACH_IN, INS, CODES, PARTS, MASK, FLIP, line, within, place, products
// with shared/folded.wgsl: HELD, WIDE, FOLDS, held, norms, exchange, fold
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/hand_on.wgsl: kept, behind, keep, hand_on, hand_quad
enable subgroups;
requires packed_4x8_integer_dot_product;
diagnostic(off, subgroup_uniformity); // a branch is taken by all threads of a subgroup or by none

const LOAD: u32 = 2u; // words of codes that a thread reads at once

@group(0) @binding(0) var<storage, read> w: array<vec2<u32>>;

fn vector(i: u32) -> vec4<u32> { return vec4<u32>(w[i], 0u, 0u); }
