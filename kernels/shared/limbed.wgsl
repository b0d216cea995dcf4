// limbed: a matvec with integer products of activations that come as limbs. vector(i) is vector i of the codes, of LOAD words.
const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale, at least 32
const COLS: u32 = 4096u;   // columns stored, a multiple of BLOCK and of 128/BITS
const WIDTH: u32 = 4096u;  // columns of the model
const HEIGHT: u32 = 4096u; // rows
const TOKENS: u32 = 1u;
const SETS: u32 = 1u;      // of TOKENS tokens each: adjacent workgroups take them, with the same rows
const ROWS: u32 = 4u;
const DEPTH: u32 = 1u;     // vectors of a row that a thread reads at a time
const ALONG: u32 = 32u;    // threads that share a row, whole subgroups
const LANES: u32 = 256u;   // threads of a workgroup; powers of two, ALONG ≤ LANES
const TURNS: u32 = 1u;     // times that each thread computes ROWS rows
const NEXT: u32 = 0u;      // unless 0, EACH/(1+GATED) is a multiple of 32

const TEAMS: u32 = LANES / ALONG;
const EACH: u32 = ROWS * TEAMS * TURNS;                    // rows of a workgroup
const OUT: u32 = EACH / (1u + GATED);                      // elements of y for each token
const OUTS: u32 = OUT * TOKENS;
const OUT_QUADS: u32 = 1u + min(NEXT, 1u) * (OUTS / 4u);
const PER: u32 = max(OUT / 4u, 1u);                        // quads for each token
const NEXT_BLOCKS: u32 = (HEIGHT / (1u + GATED) + 255u) / 256u * 8u;
const GROUPS: u32 = ALONG / 4u; // subgroups that share a row: each has four threads at least
const SUMS: u32 = EACH * TOKENS * GROUPS;
const SQUARES: u32 = TOKENS * GROUPS;
const EARLY: u32 = NEXT % 2u / TOKENS * min(LANES / max(OUT, 1u), 1u); // 1 for NEXT = 1 and one token

@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> g: array<f32>; // if NEXT % 2u
@group(0) @binding(4) var<storage, read> b: array<f32>; // if BIAS
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<u32>; // if NEXT
@group(0) @binding(7) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>;       // [row][token][subgroup]
var<workgroup> squares: array<f32, SQUARES>; // [token][subgroup]
var<private> groups: u32;                    // subgroups that share a row
var<private> old: f32;                       // the element of y that this thread adds to
var<private> weight: f32;                    // that of the norm

fn sum(r: u32, t: u32) -> f32 {
  var all = 0.0;
  for (var i = 0u; i < groups; i++) { all += sums[(r * TOKENS + t) * GROUPS + i]; }
  return all;
}

fn square(t: u32) -> f32 {
  var all = 0.0;
  for (var i = 0u; i < groups; i++) { all += squares[t * GROUPS + i]; }
  return all;
}

// early reads what finish needs from memory, which takes longer than all else that it does.
fn early(id: u32, lane: u32) {
  if (EARLY == 0u || lane >= OUTS) { return; }
  let row = min(id * EACH + lane * (1u + GATED), HEIGHT - 1u);
  weight = g[row];
  if (shape.add == 1u) { old = y[element(row, 0u)]; }
}

// put scales, caps and stores a product as element i of y, and returns the element.
fn put(i: u32, product: f32) -> f32 {
  var v = capped(product);
  if (shape.add == 1u) {
    if (EARLY == 0u) { old = y[i]; }
    v += old;
  }
  y[i] = v;
  return v;
}

// finish stores the elements of y, and keeps them if they are to become limbs.
fn finish(id: u32, lane: u32, t0: u32) {
  for (var i = lane; i < OUTS; i += LANES) {
    let t = i / OUT;
    let r = i % OUT * (1u + GATED);
    let row = id * EACH + r;
    var v = 0.0;
    if (row < HEIGHT) { v = put(element(row, t0 + t), made(row, r, t)); }
    if (NEXT == 1u && EARLY == 0u) { weight = g[min(row, HEIGHT - 1u)]; }
    if (NEXT == 1u) { keep(i, v * weight, v * v); }
    if (NEXT == 2u) { keep(i, v, 0.0); }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32,
        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) own: u32) {
  let id = (group.x + 65535u * group.y) / SETS;
  let t0 = (group.x + 65535u * group.y) % SETS * TOKENS;
  groups = ALONG / size;
  early(id, lane);
  for (var i = 0u; i < TURNS; i++) { products(id * EACH, i, lane / ALONG, t0, lane % ALONG); } // unroll
  fold(lane, size, own);
  workgroupBarrier();
  finish(id, lane, t0);
  if (NEXT == 0u) { return; }
  workgroupBarrier();
  hand_on(TOKENS, PER, t0, id * PER / 8u, NEXT_BLOCKS, lane);
}
