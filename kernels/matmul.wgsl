// matmul: y[t] = W·x[t] for many tokens, W packed at BITS bits a weight.
//   operands and epilogue as in matvec; w as single words
//   one workgroup makes TILE rows × TILE tokens: a step dequantizes TILE × DEPTH weights once into
//   workgroup memory, and each of its 256 threads keeps 4 rows × 4 tokens in registers
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const DEPTH: u32 = 16u;    // columns of a step, a multiple of 4

const TILE: u32 = 64u;
const LANES: u32 = 256u;
const QUADS: u32 = DEPTH / 4u;
const SLAB: u32 = QUADS * TILE;
const SHIFT: u32 = BITS % 16u;
const MASK: u32 = (1u << SHIFT) - 1u;

struct Shape {
  cols: u32,     // columns stored, a multiple of BLOCK, of DEPTH and of 128/BITS
  rows: u32,
  x_stride: u32,
  y_stride: u32,
  y0: u32,       // element of y and b that the first row makes
  bias: u32,     // 1: b is added
  add: u32,      // 1: y is added to, else overwritten
  scale: f32,
  softcap: f32,  // unless 0, y = c·tanh(y/c) at last
}

struct Step {
  n: u32,    // tokens
  first: u32,
}

@group(0) @binding(0) var<storage, read> w: array<u32>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;
@group(0) @binding(6) var<uniform> step: Step;

var<workgroup> ws: array<vec4<f32>, SLAB>; // [quad][row]
var<workgroup> xs: array<vec4<f32>, SLAB>; // [quad][token]

// weights returns W[row][k … k+3].
fn weights(row: u32, k: u32) -> vec4<f32> {
  let i = row * (shape.cols * BITS / 32u) + k * BITS / 32u;
  if (BITS == 32u) { return bitcast<vec4<f32>>(vec4<u32>(w[i], w[i + 1u], w[i + 2u], w[i + 3u])); }
  if (BITS == 16u) { return vec4<f32>(unpack2x16float(w[i]), unpack2x16float(w[i + 1u])); }
  let word = w[i] >> ((k * SHIFT) % 32u);
  let q = vec4<f32>(vec4<u32>(word, word >> SHIFT, word >> ((2u * SHIFT) % 32u), word >> ((3u * SHIFT) % 32u)) & vec4<u32>(MASK));
  let head = h[row * (shape.cols / BLOCK) + k / BLOCK];
  return (q - f32(bitcast<i32>(head) >> 16u)) * unpack2x16float(head).x;
}

fn store(row: u32, t: u32, sum: f32) {
  if (row >= shape.rows || t >= step.n) { return; }
  var v = sum;
  if (shape.bias == 1u) { v += b[shape.y0 + row]; }
  v *= shape.scale;
  if (shape.softcap != 0.0) { v = shape.softcap * tanh(clamp(v / shape.softcap, -15.0, 15.0)); }
  let i = t * shape.y_stride + shape.y0 + row;
  if (shape.add == 1u) { v += y[i]; }
  y[i] = v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.x * TILE;
  let t0 = group.y * TILE;
  let tr = lane / 16u; // this thread's rows are row0 + tr + 16i
  let tt = lane % 16u; // and its tokens t0 + tt + 16j
  var acc: array<vec4<f32>, 4>; // [i][j]
  for (var k0 = 0u; k0 < shape.cols; k0 += DEPTH) {
    for (var i = lane; i < QUADS * TILE; i += LANES) {
      let k = k0 + i % QUADS * 4u;
      let j = i / QUADS;
      ws[i % QUADS * TILE + j] = weights(min(row0 + j, shape.rows - 1u), k);
      xs[i % QUADS * TILE + j] = x[(min(t0 + j, step.n - 1u) * shape.x_stride + k) / 4u];
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
  for (var i = 0u; i < 4u; i++) {
    let row = row0 + tr + 16u * i;
    store(row, t0 + tt, acc[i].x);
    store(row, t0 + tt + 16u, acc[i].y);
    store(row, t0 + tt + 32u, acc[i].z);
    store(row, t0 + tt + 48u, acc[i].w);
  }
}
