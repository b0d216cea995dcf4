// repack: turns rows as the bundle has them into the planes that matvec, matmul and embed read.
//   raw: bytes of a chunk of the file: rows of [scale f16][zero i8][codes] records, or of plain
//   float16 (BITS = 16) or float32 (32)
//   w [row][cols·BITS/32] u32 codes as shared/layout.wgsl has them, int8 shifted to 0 … 255; if the quads of a block
//   are interleaved across its vec4<u32>, n vectors hold quads (0, n, 2n …), (1, n+1 …) …
//   h [row][cols/BLOCK] u32: float16 scale, then int16 zero, shifted like the codes
//   one thread computes one word; workgroup x + 65535·y
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
const BITS: u32 = 4u;
const BLOCK: u32 = 128u;
const LANES: u32 = 64u;

const RECORD: u32 = 3u + BLOCK * BITS / 8u; // bytes
const QUADS: u32 = 8u / BITS;              // quads of a word
const MASK: u32 = (1u << (BITS % 16u)) - 1u;
const PLAIN: u32 = (BITS / 16u + 1u) / 2u;  // 1: no records

struct Chunk {
  width: u32, // columns of the model
  cols: u32,  // columns stored, at least width
  rows: u32,  // rows in raw
  row0: u32,  // where the first row goes
  step: u32,  // distance between rows there
}

@group(0) @binding(0) var<storage, read> raw: array<u32>;
@group(0) @binding(1) var<storage, read_write> w: array<u32>;
@group(0) @binding(2) var<storage, read_write> h: array<u32>;
@group(0) @binding(3) var<uniform> chunk: Chunk;

fn records() -> u32 { return (chunk.width + BLOCK - 1u) / BLOCK; } // of a row

// load returns the four bytes from byte i on.
fn load(i: u32) -> u32 {
  let shift = i % 4u * 8u;
  let low = raw[i / 4u] >> shift;
  if (shift == 0u) { return low; }
  return low | (raw[i / 4u + 1u] << (32u - shift));
}

// plain returns the word with the weights of a row from k on, zero past the last one.
fn plain(row: u32, k: u32) -> u32 {
  if (k >= chunk.width) { return 0u; }
  let word = load(row + k * BITS / 8u);
  return select(word, word & 0xffffu, BITS == 16u && k + 1u == chunk.width);
}

// codes returns word j of a stored row.
fn codes(row: u32, j: u32) -> u32 {
  if (PLAIN == 1u) { return plain(row, j * 32u / BITS); }
  var word = 0u;
  for (var i = 0u; i < QUADS; i++) {
    let k = 4u * natural(j * QUADS + i);
    if (k / BLOCK < records()) {
      let quad = load(row + k / BLOCK * RECORD + 3u + k % BLOCK * BITS / 8u);
      for (var c = 0u; c < 4u; c++) { word |= ((quad >> (c * (BITS % 16u))) & MASK) << (8u * c + i * (BITS % 16u)); }
    }
  }
  if (BITS != 8u || j * 4u / BLOCK >= records()) { return word; }
  return word ^ 0x80808080u;
}

fn header(row: u32, block: u32) -> u32 {
  if (block >= records()) { return 0u; }
  let word = load(row + block * RECORD);
  let zero = (bitcast<i32>(word << 8u) >> 24u) + select(0, 128, BITS == 8u);
  return (word & 0xffffu) | (bitcast<u32>(zero) << 16u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let words = chunk.cols * BITS / 32u;
  let heads = chunk.cols / BLOCK * (1u - PLAIN);
  let i = (group.x + 65535u * group.y) * LANES + lane;
  let r = i / (words + heads);
  if (r >= chunk.rows) { return; }
  let j = i % (words + heads);
  let row = r * (records() * RECORD * (1u - PLAIN) + chunk.width * BITS / 8u * PLAIN);
  let to = chunk.row0 + r * chunk.step;
  if (j < words) {
    w[to * words + j] = codes(row, j);
  } else {
    h[to * heads + j - words] = header(row, j - words);
  }
}
