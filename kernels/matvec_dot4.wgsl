// matvec_dot4: matvec with integer products of activations that come as limbs, see shared/limbs.wgsl. What the next product
// reads is stored as limbs as well.
//   w [rows][cols·BITS/128] vec4<u32> as repack lays it out, not woven   h as in matvec   x [t] limbs
//   y [t][y_stride] f32   next [t][next_stride] u32: limbs of y, or of y·g for a norm
//   NEXT = 1: next is stored, times g, with the squares of y   NEXT = 2: next is stored   NORM = 1: x is normalized
//   ALONG threads compute ROWS rows for TOKENS tokens, a workgroup TURNS·LANES/ALONG times as many; workgroup
//   x + 65535·y takes set (x + 65535·y) % SETS of the tokens
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

const LOAD: u32 = 4u; // words of codes that a thread reads at once

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;

fn vector(i: u32) -> vec4<u32> { return w[i]; }
