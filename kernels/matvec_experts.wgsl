// matvec_experts: products with the matrices of the experts chosen for a few tokens.
//   w, h as in matvec, the experts' matrices stacked   chosen [t][TOP] (expert, weight)
//   b [experts][rows], read if the shape's bias is 1
//   SUM = 0: y[s] = scale·weight·(W[expert(s)]·x[t] + b[expert(s)]), s = t·TOP + k, the weight only if WEIGH = 1
//   SUM = 1: y[t] += or = scale·Σ_k weight·(W[expert(s)]·x[s] + b[expert(s)]), the weights only if WEIGH = 1
//   one workgroup computes ROWS rows (x) of one s or t (y); this part of the weights has experts first … first+here−1
// with shared/shape.wgsl: Shape
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/head.wgsl: head
// with shared/quad.wgsl: quad
// with shared/capped.wgsl: capped
// with shared/put.wgsl: put
const BITS: u32 = 4u;      // 32, 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const ROWS: u32 = 4u;
const TOP: u32 = 2u;
const SUM: u32 = 0u;
const WEIGH: u32 = 0u;
const LANES: u32 = 64u;    // a power of two ≥ ROWS

const SUMS: u32 = LANES * ROWS;
const CHOICES: u32 = 1u + SUM * (TOP - 1u); // choices that a workgroup sums over

@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> shape: Shape;

var<workgroup> sums: array<f32, SUMS>; // [lane][row]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row0 = group.x * ROWS;
  let last = shape.rows - 1u;
  let vecs = shape.cols * BITS / 128u;
  var acc: array<f32, ROWS>;
  var scales: array<vec2<f32>, ROWS>; // scale, −scale·zero
  var mine = false; // any chosen expert is in this part
  for (var c = 0u; c < CHOICES; c++) {
    let s = group.y * CHOICES + c;
    let choice = chosen[s];
    if (choice.x >= shape.first && choice.x < shape.first + shape.here) {
      mine = true;
      let weight = select(1.0, bitcast<f32>(choice.y), WEIGH == 1u);
      let base = (choice.x - shape.first) * shape.rows;
      let in = select(s / TOP, s, SUM == 1u) * shape.x_stride;
      for (var v = lane; v < vecs; v += LANES) {
        for (var r = 0u; r < ROWS; r++) {
          let row = base + min(row0 + r, last);
          let codes = w[row * vecs + v];
          var part = 0.0;
          for (var g = 0u; g < VEC; g++) {
            let k = (v * VEC + g) * 4u;
            var q = quad(codes, g, 0.0, shape.exponent);
            if (BITS < 16u) {
              if ((g * 4u) % BLOCK == 0u) {
                let block = head(h[row * (shape.cols / BLOCK) + k / BLOCK]);
                scales[r] = vec2<f32>(block.x, -block.x * block.y);
              }
              q = q * scales[r].x + scales[r].y;
            }
            part += dot(q, x[in / 4u + v / SHARE * SHARE * VEC + g * SHARE + v % SHARE]);
          }
          acc[r] += weight * part;
        }
      }
      if (shape.bias == 1u && lane < ROWS) {
        let bias = weight * b[choice.x * shape.rows + min(row0 + lane, last)];
        for (var r = 0u; r < ROWS; r++) { acc[r] += select(0.0, bias, lane == r); }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) { sums[lane * ROWS + r] = acc[r]; }
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      for (var r = 0u; r < ROWS; r++) { sums[lane * ROWS + r] += sums[(lane + half) * ROWS + r]; }
    }
    workgroupBarrier();
  }
  if (lane >= ROWS || row0 + lane > last || (!mine && SUM == 0u)) { return; }
  put(group.y * shape.y_stride + shape.y0 + row0 + lane, sums[lane]);
}
