// matmul_matrix_experts: matmul_experts with subgroup matrices of float16, for activations as split makes them.
//   w, h, b, y, chosen, order as in matmul_experts   halves, units as in split: of tokens, or of slots
//   one workgroup computes a tile of rows (x) of one tile's slots (y)
// with shared/shape.wgsl: Shape
// with shared/head.wgsl: head
// with shared/matrices.wgsl: Left, Right, Sums, multiplied
// with shared/stored.wgsl: stored
// with shared/halves.wgsl: code, decoded, lost
// with shared/panels.wgsl: HIGH, WIDE, DOWN, ACROSS, LIMBS, FINE, BUFFERS, DEPTH, GROUPS, LANES, ROWS, TOKENS, INPUTS, WEIGHTS, W_PANELS, X_PANELS, ROUNDS, PAIRS, SLABS, PITCH, PANEL, WORDS, ALL, MINE, HELD, X_ALL, X_MINE, SAVED, MASK, ws, xs, ps
// with shared/tile.wgsl: word, header, tile
enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const BITS: u32 = 4u;      // 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const TOP: u32 = 2u;
const SLOTS: u32 = 512u;   // choices of the largest pass; tiles begin at this word of order
const BY_TOKEN: u32 = 1u;  // 1: the input of slot s is vector s/TOP, 0: vector s
const WEIGH: u32 = 0u;
const BESIDE: u32 = 0u;    // 1: y holds gates, each of which becomes act(gate)·product, act(v) = v·sigmoid(SLOPE·v + CUBIC·v³)
const SLOPE: f32 = 1.0;
const CUBIC: f32 = 0.0;
const GATED: u32 = 0u;

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> halves: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> units: array<f32>;
@group(0) @binding(4) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read> order: array<u32>;
@group(0) @binding(6) var<storage, read> b: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
@group(0) @binding(8) var<uniform> shape: Shape;

var<private> row0: u32;  // the tile's first row
var<private> expert: u32;
var<private> base: u32;  // its first row
var<private> start: u32; // where in order the tile's slots are, and how many
var<private> count: u32;

fn stored_row(i: u32) -> u32 { return base + min(row0 + i, shape.rows - 1u); }

fn slot(j: u32) -> u32 { return order[start + min(j, max(count, 1u) - 1u)]; }

fn vector_row(j: u32) -> u32 { return select(slot(j), slot(j) / TOP, BY_TOKEN == 1u); }

// save stores the product of row i and slot j of the tile.
fn save(i: u32, j: u32, product: f32, other: f32) {
  let row = row0 + i;
  let at = slot(j);
  let weight = select(1.0, bitcast<f32>(chosen[at].y), WEIGH == 1u); // read in any case, so that no thread waits for
  var v = product * units[vector_row(j)];                              // one after the other
  if (row >= shape.rows || j >= count) { return; }
  if (shape.bias == 1u) { v += b[expert * shape.rows + row]; }
  v *= weight;
  let to = at * shape.y_stride + shape.y0 + row;
  if (BESIDE == 1u) {
    let gate = y[to];
    v *= gate / (1.0 + exp(clamp(-gate * (SLOPE + CUBIC * gate * gate), -87.0, 87.0)));
  }
  y[to] = v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = SLOTS + 4u * group.y;
  let which = order[at];
  let here = which >= shape.first && which < shape.first + shape.here;
  let slots = select(0u, order[at + 2u], here);
  row0 = group.x * (16u * ROWS);
  expert = which;
  base = select(0u, (which - shape.first) * shape.rows, here);
  start = order[at + 1u];
  count = slots;
  tile(select(0u, shape.cols, slots > 0u), lane);
}
