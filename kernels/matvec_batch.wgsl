// matvec_batch: matvec for several tokens: a step's inputs are in workgroup memory, shared by many rows.
//   operands as in matvec
//   one workgroup computes ROWS·LANES/ALONG rows for TOKENS tokens; workgroup x + 65535·y
// with shared/shape.wgsl: Shape
// with shared/operands.wgsl: h, x, g, b, y, next, shape
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/head.wgsl: head
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/store.wgsl: NEXT, store, store_square, squares_from
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOKENS: u32 = 8u;    // a multiple of 4
const ROWS: u32 = 4u;      // per thread
const ALONG: u32 = 8u;     // threads that share a row, and vectors of it per step; powers of two, TOKENS ≤ ALONG ≤ LANES
const LANES: u32 = 128u;   // threads of a workgroup
const STEP: u32 = 2u;      // words of a vector unrolled at a time: 1, 2 or 4

const HEADS: u32 = (4u * VEC + BLOCK - 1u) / BLOCK; // blocks that a vector touches
const WORDS: u32 = ROWS * HEADS;
const MASK: u32 = (1u << (BITS % 16u)) - 1u;
const SLIDE: u32 = (8u + BITS / 16u * 16u) / BITS; // codes of a byte, which one shift moves to where they are decoded
const LEVELS: u32 = ROWS * SLIDE;
const GROUPS: u32 = TOKENS / 4u;
const SUMS: u32 = ROWS * GROUPS;        // per thread, of four tokens each
const DOWN: u32 = LANES / ALONG;        // groups of ROWS rows
const EACH: u32 = DOWN * ROWS;          // rows of a workgroup
const ITEMS: u32 = ALONG * VEC * GROUPS; // quads of four tokens in a step
const MINE: u32 = (ITEMS + LANES - 1u) / LANES; // items per thread
const STAGED: u32 = MINE * 4u;
const PARTS: u32 = LANES * TOKENS;
const TOTALS: u32 = EACH * TOKENS;

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;

var<workgroup> inputs: array<array<array<array<vec4<f32>, ALONG>, GROUPS>, 4>, VEC>; // [quad][column][tokens][vector]
var<workgroup> parts: array<f32, PARTS>;    // [token][lane], for one row of each thread
var<workgroup> totals: array<f32, TOTALS>;  // [row][token]
var<workgroup> squares: array<f32, LANES>;  // [lane / TOKENS][token]

fn sum(r: u32, t: u32) -> f32 { return totals[r * TOKENS + t]; }

fn square(t: u32) -> f32 { return squares[t]; }

// weight returns the weight whose code is the one numbered j % SLIDE in byte j / SLIDE of a word, scaled. A code at
// position p, with the exponent of 2^(23−p) above it, is the float 2^(23−p) + code. From position 11 on one fma makes it (code − zero)·scale, exactly, with level = −(2^(23−p) + zero)·scale:
// that and the first product have 24 bits at most.
fn weight(word: u32, j: u32, scale: f32, level: f32, exponent: u32) -> f32 {
  if (BITS == 32u) { return bitcast<f32>(word); }
  if (BITS == 16u) { return unpack2x16float(word)[j % 2u]; }
  let m = j % SLIDE;
  let first = (j - m) * BITS; // bit of the byte that the shift brings to position 11
  let slid = select(word << (11u - min(first, 11u)), word >> (max(first, 11u) - 11u), first > 11u);
  return fma(bitcast<f32>((slid & (MASK << (11u + m * BITS))) | exponent), scale, level);
}

// place returns where in x item e of the step at vector v0 begins, for the first of its four tokens; item e is quad
// e / ALONG % VEC of vector v0 + e % ALONG.
fn place(v0: u32, e: u32) -> u32 {
  let v = v0 + e % ALONG;
  return e / ALONG / VEC * shape.x_stride + v / SHARE * SHARE * VEC + e / ALONG % VEC * SHARE + v % SHARE;
}

// norms adds up the squares after x, with all threads divided among the tokens.
fn norms(lane: u32) {
  squares[lane] = squares_from(lane % TOKENS, lane / TOKENS, LANES / TOKENS);
  workgroupBarrier();
  var all = 0.0;
  for (var i = lane % TOKENS; i < LANES; i += TOKENS) { all += squares[i]; }
  workgroupBarrier();
  squares[lane] = all;
}

// products computes totals for the rows of workgroup id.
fn products(id: u32, lane: u32) {
  let s = lane % ALONG;
  let row0 = id * EACH + lane / ALONG * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  var acc: array<vec4<f32>, SUMS>; // [row][tokens]
  var codes: array<vec4<u32>, ROWS>;
  var words: array<u32, WORDS>;         // of h
  var ahead: array<vec4<u32>, ROWS>;    // codes and words of the next step
  var next_words: array<u32, WORDS>;
  var places: array<u32, MINE>;
  var staged: array<vec4<f32>, STAGED>; // [item][token]
  var scales: array<f32, ROWS>;
  var levels: array<f32, LEVELS>; // [row][code of a shift], see weight
  var exponents: array<u32, SLIDE>;
  var weights: array<f32, ROWS>;
  var word: array<u32, ROWS>;
  for (var i = 0u; i < MINE; i++) { places[i] = place(0u, min(lane + i * LANES, ITEMS - 1u)); } // unroll
  for (var r = 0u; r < ROWS; r++) { ahead[r] = w[min(row0 + r, last) * vecs + min(s, vecs - 1u)]; } // unroll
  if (BITS < 16u) {
    for (var k = 0u; k < WORDS; k++) { // unroll
      next_words[k] = h[min(row0 + k / HEADS, last) * (shape.cols / BLOCK) + min(s, vecs - 1u) * VEC * 4u / BLOCK + k % HEADS];
    }
  }
  for (var v0 = 0u; v0 < vecs; v0 += ALONG) {
    var all = 0u;
    for (var r = 0u; r < ROWS; r++) { // unroll
      codes[r] = ahead[r];
      all |= codes[r].x;
    }
    if (BITS < 16u) {
      for (var k = 0u; k < WORDS; k++) { // unroll
        words[k] = next_words[k];
        all |= words[k];
      }
    }
    for (var i = 0u; i < STAGED; i++) { // unroll
      let e = min(lane + i / 4u * LANES, ITEMS - 1u);
      var at = places[i / 4u] + v0 * VEC;
      if (ALONG % SHARE != 0u) { at = place(v0, e); }
      staged[i] = select(vec4<f32>(), x[at + i % 4u * shape.x_stride / 4u], v0 + e % ALONG < vecs);
    }
    workgroupBarrier();
    for (var i = 0u; i < MINE; i++) { // unroll
      let e = lane + i * LANES;
      if (e < ITEMS) {
        for (var c = 0u; c < 4u; c++) { // unroll
          inputs[e / ALONG % VEC][c][e / ALONG / VEC][s] = vec4<f32>(staged[i * 4u][c], staged[i * 4u + 1u][c], staged[i * 4u + 2u][c], staged[i * 4u + 3u][c]);
        }
      }
    }
    workgroupBarrier();
    let then = min(v0 + ALONG + s, vecs - 1u);
    for (var r = 0u; r < ROWS; r++) { ahead[r] = w[min(row0 + r, last) * vecs + then]; } // unroll
    if (BITS < 16u) {
      for (var k = 0u; k < WORDS; k++) { // unroll
        next_words[k] = h[min(row0 + k / HEADS, last) * (shape.cols / BLOCK) + then * VEC * 4u / BLOCK + k % HEADS];
      }
    }
    let exponent = shape.exponent | (all & shape.exponent & 1u); // opaque to the compiler, so that everything is read before anything is decoded
    for (var m = 0u; m < SLIDE; m++) { exponents[m] = exponent - ((11u + m * BITS) << 23u); } // unroll
    for (var k0 = 0u; k0 < 4u; k0 += STEP) {
      for (var k1 = 0u; k1 < STEP; k1++) { // unroll
        let k = k0 + k1;
        for (var r = 0u; r < ROWS; r++) { // unroll
          word[r] = select(select(codes[r].x, codes[r].y, k == 1u), select(codes[r].z, codes[r].w, k == 3u), k > 1u);
          if (BITS < 16u && k * HEADS % 4u == 0u) {
            var own = words[r * HEADS];
            for (var i = 0u; i < HEADS; i++) { own = select(own, words[r * HEADS + i], k * HEADS / 4u == i); } // unroll
            let block = head(own);
            scales[r] = block.x;
            for (var m = 0u; m < SLIDE; m++) { levels[r * SLIDE + m] = -scales[r] * (f32(1u << (12u - m * BITS)) + block.y); } // unroll
          }
        }
        for (var j = 0u; j < VEC; j++) { // unroll
          for (var r = 0u; r < ROWS; r++) { // unroll
            weights[r] = weight(word[r], j, scales[r], levels[r * SLIDE + j % SLIDE], exponents[j % SLIDE]);
          }
          for (var g = 0u; g < GROUPS; g++) { // unroll
            let c = k * VEC + j % SLIDE * 4u + j / SLIDE; // its column
            let value = inputs[c / 4u][c % 4u][g][s];
            for (var r = 0u; r < ROWS; r++) { // unroll
              acc[r * GROUPS + g] = fma(vec4<f32>(weights[r]), value, acc[r * GROUPS + g]);
            }
          }
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) { // unroll
    for (var t = 0u; t < TOKENS; t++) { parts[t * LANES + lane] = acc[r * GROUPS + t / 4u][t % 4u]; } // unroll
    workgroupBarrier();
    if (lane < DOWN * TOKENS) {
      var all = 0.0;
      for (var i = 0u; i < ALONG; i++) { all += parts[lane * ALONG + (i + lane) % ALONG]; }
      totals[(lane % DOWN * ROWS + r) * TOKENS + lane / DOWN] = all;
    }
    workgroupBarrier();
  }
}

// finish stores the products of workgroup id.
fn finish(id: u32, lane: u32) {
  let d = lane % DOWN;
  let t = lane / DOWN;
  var all = 0.0;
  if (t < TOKENS) {
    for (var r = d * ROWS; r < d * ROWS + ROWS; r++) {
      let made = store(id * EACH + r, r, t);
      all += made * made;
    }
  }
  if (NEXT == 0u) { return; }
  parts[lane] = all;
  workgroupBarrier();
  if (lane < TOKENS) {
    all = 0.0;
    for (var i = 0u; i < DOWN; i++) { all += parts[lane * DOWN + i]; }
    store_square(lane, id, EACH, all);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group.x + 65535u * group.y;
  if (NORM == 1u) { norms(lane); }
  products(id, lane);
  finish(id, lane);
}
