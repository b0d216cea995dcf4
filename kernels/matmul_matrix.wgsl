// matmul_matrix: matmul with subgroup matrices of float16, for activations as split makes them.
//   w, h, b, y as in matmul   halves, units as in split   one workgroup computes a tile of tokens (x) and rows (y):
//   workgroups that run at the same time read the same weights
// with shared/shape.wgsl: Shape
// with shared/step.wgsl: Step
// with shared/head.wgsl: head
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
// with shared/made.wgsl: NORM, GATED, SLOPE, CUBIC, BIAS, total, made, element
// with shared/matrices.wgsl: Left, Right, Sums, multiplied
// with shared/stored.wgsl: stored
// with shared/halves.wgsl: code, decoded, lost
// with shared/panels.wgsl: HIGH, WIDE, DOWN, ACROSS, LIMBS, FINE, BUFFERS, DEPTH, GROUPS, LANES, ROWS, TOKENS, INPUTS, WEIGHTS, W_PANELS, X_PANELS, ROUNDS, PAIRS, SLABS, PITCH, PANEL, WORDS, ALL, MINE, HELD, X_ALL, X_MINE, SAVED, MASK, ws, xs, ps
// with shared/tile.wgsl: word, header, tile
enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const BITS: u32 = 4u;    // 16, 8, 4 or 2
const BLOCK: u32 = 128u; // weights that share a scale

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> halves: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> units: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;
@group(0) @binding(7) var<uniform> step: Step;

var<private> row0: u32; // the tile's first row and token
var<private> t0: u32;

fn stored_row(i: u32) -> u32 { return min(row0 + i, shape.rows - 1u); }

fn vector_row(i: u32) -> u32 { return min(t0 + i, step.n - 1u); }

var<private> sums: vec2<f32>; // of the row that is saved, and of the one after it

fn sum(r: u32, t: u32) -> f32 { return sums[r]; }

fn square(t: u32) -> f32 { return 1.0; }

// save stores what the products of row i, and of the next one if GATED, and token j of the tile become.
fn save(i: u32, j: u32, product: f32, other: f32) {
  let row = row0 + i;
  let t = t0 + j;
  sums = vec2<f32>(product, other) * units[min(t, step.n - 1u)]; // read in any case, so that no thread waits for one after the other
  if (row < shape.rows && t < step.n) { put(element(row, t), made(row, 0u, t)); }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  row0 = group.y * (16u * ROWS);
  t0 = group.x * (16u * TOKENS);
  tile(shape.cols, lane);
}
