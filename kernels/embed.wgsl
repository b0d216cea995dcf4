// embed: x[t] = SCALE·W[id], id the token or the position of row t.
//   w, h as in matvec, w as single words   rows [t] (token, position, sequence, 0)   x [t][X_STRIDE] f32
//   NEXT = 1: columns lie in order, and x·g is stored for a norm as limbs, too, with the squares of x: next [t] limbs of WIDTH elements
//   one workgroup computes SPAN columns (y), in stored order, of one token's row (x); this part of a split W has rows ROW0 … ROW0+OUT−1
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/head.wgsl: head
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/hand_on.wgsl: kept, behind, keep, hand_on, hand_quad
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const COLS: u32 = 256u;    // columns stored, a multiple of BLOCK and of 128/BITS
const WIDTH: u32 = 256u;   // columns of the model
const ROW0: u32 = 0u;
const OUT: u32 = 64u;
const X_STRIDE: u32 = 256u;
const FIELD: u32 = 0u;     // 0: the token is looked up, 1: the position
const ADD: u32 = 0u;       // 1: x is added to, else overwritten
const SCALE: f32 = 1.0;
const KNOWN: u32 = 0u;     // unless 0: ids from there on are looked up as 0
const SPAN: u32 = 256u;
const LANES: u32 = 256u;   // fewer would wait for memory column by column
const NEXT: u32 = 0u;

const WORDS: u32 = COLS * BITS / 32u;
const SHIFT: u32 = BITS % 16u;
const MASK: u32 = (1u << SHIFT) - 1u;
const OUT_QUADS: u32 = 1u + NEXT * (SPAN / 4u);
const BLOCKS: u32 = (WIDTH + 255u) / 256u * 8u;

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> next: array<u32>;

// weight returns weight k of a stored row.
fn weight(row: u32, k: u32) -> f32 {
  let word = w[row * WORDS + k * BITS / 32u];
  if (BITS == 32u) { return bitcast<f32>(word); }
  if (BITS == 16u) {
    let pair = unpack2x16float(word);
    return select(pair.x, pair.y, k % 2u == 1u);
  }
  let q = f32((word >> (k % 4u * 8u + k / 4u * SHIFT % 8u)) & MASK);
  let block = head(h[row * (COLS / BLOCK) + k / BLOCK]);
  return (q - block.y) * block.x;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var row = rows[group.x];
  var id = row[FIELD];
  if (KNOWN > 0u && id >= KNOWN) { id = 0u; }
  let here = id >= ROW0 && id < ROW0 + OUT;
  for (var k = group.y * SPAN + lane; k < (group.y + 1u) * SPAN; k += LANES) {
    let column = 4u * natural(k / 4u) + k % 4u;
    var v = 0.0;
    var scaled = 0.0;
    if (here && k < COLS && column < WIDTH) {
      let i = group.x * X_STRIDE + column;
      v = SCALE * weight(id - ROW0, k);
      if (ADD == 1u) { v += x[i]; }
      x[i] = v;
      if (NEXT == 1u) { scaled = v * g[column]; }
    }
    if (NEXT == 1u) { keep(k % SPAN, scaled, v * v); }
  }
  if (NEXT == 0u) { return; }
  workgroupBarrier();
  hand_on(1u, SPAN / 4u, group.x, group.y * SPAN / 32u, BLOCKS, lane);
}
