// matvec_subgroups: matvec, with the sums of a workgroup's threads made by subgroupAdd.
//   operands, launch and constants as in matvec
// with shared/shape.wgsl: Shape
// with shared/operands.wgsl: h, x, g, b, y, next, shape
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/head.wgsl: head
// with shared/quad.wgsl: quad
// with shared/rows.wgsl: HEADS, WORDS, PARTS, products
// with shared/subgroups.wgsl: GROUPS, SUMS, SQUARES, sums, squares, subgroup, leads, keep, sum, square, finish
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/store.wgsl: NEXT, store, store_square, squares_from
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
enable subgroups;

const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 1u;
const ROWS: u32 = 4u;
const LANES: u32 = 64u;    // threads of a workgroup; they and ROWS·TOKENS ≤ LANES are powers of two
const STEP: u32 = 8u;      // quads (of four columns) unrolled at a time, a divisor of 32/BITS: as many as registers allow

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32,
        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) first: u32) {
  let id = group.x + 65535u * group.y;
  subgroup = lane / size;
  leads = first == 0u;
  products(id * ROWS, lane);
  finish(id, lane, size);
}
