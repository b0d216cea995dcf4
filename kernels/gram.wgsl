// gram: h += Σ_t (y[t] − z[t])·x[t]ᵀ, without z unless DIFF; only the lower triangle if LOWER; t = 0 counts FIRST times
//   x [t][STRIDE] f32   y, z [t][Y_STRIDE] f32   h [rows from ROW0][WIDTH] f32   t: n tokens from first on
//   one workgroup computes TILE × TILE elements, groups (x, y) are (columns, rows); each thread has 4 × 4 of them
// with shared/step.wgsl: Step
const WIDTH: u32 = 256u;    // of x
const STRIDE: u32 = 256u;
const HEIGHT: u32 = 256u;   // of y
const Y_STRIDE: u32 = 256u;
const ROW0: u32 = 0u;       // first row of the part of h that is bound, a multiple of TILE
const ROWS: u32 = 256u;     // rows of that part
const LOWER: u32 = 1u;
const DIFF: u32 = 0u;
const FIRST: u32 = 1u;

const TILE: u32 = 64u;
const LANES: u32 = 256u;
const DEPTH: u32 = 16u;     // tokens of a step
const SLAB: u32 = DEPTH * TILE;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read_write> h: array<f32>;
@group(0) @binding(4) var<uniform> step: Step;

var<workgroup> a: array<f32, SLAB>; // of y − z, [token][row]
var<workgroup> b: array<f32, SLAB>; // of x, [token][column]

fn left(t: u32, k: u32) -> f32 {
  if (t >= step.n || k >= HEIGHT) { return 0.0; }
  let i = (step.first + t) * Y_STRIDE + k;
  var v = y[i];
  if (DIFF == 1u) { v -= z[i]; }
  if (FIRST != 1u && t == 0u) { v *= f32(FIRST); }
  return v;
}

fn right(t: u32, k: u32) -> f32 {
  if (t >= step.n || k >= WIDTH) { return 0.0; }
  return x[(step.first + t) * STRIDE + k];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = ROW0 + group.y * TILE;
  let col0 = group.x * TILE;
  let tr = lane / 16u; // this thread's rows are row0 + tr + 16i
  let tc = lane % 16u; // and its columns col0 + tc + 16j
  var acc: array<vec4<f32>, 4>; // [i][j]
  let n = select(0u, step.n, LOWER == 0u || col0 <= row0);
  for (var t0 = 0u; t0 < n; t0 += DEPTH) {
    for (var i = lane; i < SLAB; i += LANES) {
      a[i] = left(t0 + i / TILE, row0 + i % TILE);
      b[i] = right(t0 + i / TILE, col0 + i % TILE);
    }
    workgroupBarrier();
    for (var t = 0u; t < SLAB; t += TILE) {
      let c = vec4<f32>(b[t + tc], b[t + tc + 16u], b[t + tc + 32u], b[t + tc + 48u]);
      for (var i = 0u; i < 4u; i++) { acc[i] += a[t + tr + 16u * i] * c; }
    }
    workgroupBarrier();
  }
  if (n == 0u) { return; }
  for (var i = 0u; i < 4u; i++) {
    let row = row0 + tr + 16u * i;
    for (var j = 0u; j < 4u; j++) {
      let col = col0 + tc + 16u * j;
      if (row < min(HEIGHT, ROW0 + ROWS) && col < WIDTH) { h[(row - ROW0) * WIDTH + col] += acc[i][j]; }
    }
  }
}
