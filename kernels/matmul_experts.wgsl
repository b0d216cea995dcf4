// matmul_experts: products with the experts' matrices for many tokens, sorted by expert.
//   w, h as in matvec_experts, w as single words   chosen [t·TOP] (expert, weight)
//   order: slots and tiles as group makes them   b [experts][rows], read if the shape's bias is 1
//   y[s] = W[expert(s)]·x[s or t] + b[expert(s)], times the weight if WEIGH = 1
//   one workgroup computes TILE rows (x) of one tile's slots (y), as matmul does
// with shared/shape.wgsl: Shape
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/head.wgsl: head
// with shared/weights.wgsl: weights, SHIFT, MASK
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const DEPTH: u32 = 16u;    // columns of a step, a multiple of 4
const TOP: u32 = 2u;
const SLOTS: u32 = 512u;   // choices of the largest pass; tiles begin at this word of order
const BY_TOKEN: u32 = 1u;  // 1: the input of slot s is row s/TOP of x, 0: row s
const WEIGH: u32 = 0u;

const TILE: u32 = 64u;
const LANES: u32 = 256u;
const QUADS: u32 = DEPTH / 4u;
const SLAB: u32 = QUADS * TILE;

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read> b: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<uniform> shape: Shape;

var<workgroup> ws: array<vec4<f32>, SLAB>; // [quad][row]
var<workgroup> xs: array<vec4<f32>, SLAB>; // [quad][slot]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.x * TILE;
  let tile = SLOTS + 4u * group.y;
  let expert = order[tile];
  let start = order[tile + 1u];
  let here = expert >= shape.first && expert < shape.first + shape.here;
  let count = select(0u, order[tile + 2u], here);
  let base = select(0u, (expert - shape.first) * shape.rows, here);
  let depth = select(0u, shape.cols, count > 0u);
  let tr = lane / 16u;
  let tt = lane % 16u;
  var acc: array<vec4<f32>, 4>; // [i][j]
  for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
    for (var i = lane; i < SLAB; i += LANES) {
      let k = k0 + i % QUADS * 4u;
      let j = i / QUADS;
      let slot = order[start + min(j, count - 1u)];
      ws[i % QUADS * TILE + j] = weights(base + min(row0 + j, shape.rows - 1u), k);
      xs[i % QUADS * TILE + j] = x[select(slot, slot / TOP, BY_TOKEN == 1u) * shape.x_stride / 4u + natural(k / 4u)];
    }
    workgroupBarrier();
    for (var q = 0u; q < QUADS; q++) {
      let p = q * TILE + tt;
      let x0 = xs[p];
      let x1 = xs[p + 16u];
      let x2 = xs[p + 32u];
      let x3 = xs[p + 48u];
      for (var i = 0u; i < 4u; i++) {
        let row = ws[q * TILE + tr + 16u * i];
        acc[i] += vec4<f32>(dot(row, x0), dot(row, x1), dot(row, x2), dot(row, x3));
      }
    }
    workgroupBarrier();
  }
  for (var j = 0u; j < 4u; j++) {
    let s = tt + 16u * j;
    if (s < count) {
      let slot = order[start + s];
      let weight = select(1.0, bitcast<f32>(chosen[slot].y), WEIGH == 1u);
      for (var i = 0u; i < 4u; i++) {
        let row = row0 + tr + 16u * i;
        if (row < shape.rows) {
          var v = acc[i][j];
          if (shape.bias == 1u) { v += b[expert * shape.rows + row]; }
          y[slot * shape.y_stride + shape.y0 + row] = weight * v;
        }
      }
    }
  }
}
