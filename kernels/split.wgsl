// split: activations as matmul_matrix reads them: each the sum of two float16, hi and lo, times a power of two for its token;
// normalized before, if so wanted.
//   x [t][x_stride] f32   g [width] f32: weights of the norm   halves [t][hi, lo][cols] f16, in the order in which matmul_matrix decodes weights
//   units [t] f32: what hi + lo is to be multiplied by   one workgroup splits one token
// with shared/shape.wgsl: Shape
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/pairs.wgsl: column
// with shared/upper.wgsl: upper
const BITS: u32 = 4u;      // 16, 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const NORM: u32 = 0u;      // 1: x/√(mean(x²)+eps)·g is split
const LANES: u32 = 256u;   // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> halves: array<u32>;
@group(0) @binding(3) var<storage, read_write> units: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;

var<workgroup> ends: array<vec2<f32>, LANES>; // the largest element of a lane and the sum of its squares

// weighted returns element k of the vector at in, times its weight.
fn weighted(in: u32, k: u32) -> f32 {
  if (NORM == 0u) { return x[in + k]; }
  return x[in + k] * g[min(k, shape.width - 1u)];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let in = group.x * shape.x_stride;
  var end = vec2<f32>();
  for (var k = lane; k < shape.cols; k += LANES) {
    end.x = max(end.x, abs(weighted(in, k)));
    if (NORM == 1u) { end.y += x[in + k] * x[in + k]; }
  }
  ends[lane] = end;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { ends[lane] = vec2<f32>(max(ends[lane].x, ends[lane + half].x), ends[lane].y + ends[lane + half].y); }
  }
  workgroupBarrier();
  // The largest element comes to lie below 2¹⁵: float16 ends at 2¹⁶, and what is 2³⁸ times smaller is still exact to a few bits.
  let exponent = max(bitcast<u32>(ends[0].x) >> 23u, 15u);
  let scale = bitcast<f32>((268u - exponent) << 23u);
  if (lane == 0u) {
    var unit = bitcast<f32>((exponent - 14u) << 23u);
    if (NORM == 1u) { unit /= sqrt(ends[0].y / f32(shape.width) + shape.eps); }
    units[group.x] = unit;
  }
  let out = group.x * shape.cols;
  for (var p = lane; p < shape.cols / 2u; p += LANES) {
    let pair = vec2<f32>(weighted(in, column(2u * p)), weighted(in, column(2u * p + 1u))) * scale;
    let high = upper(pair);
    halves[out + p] = pack2x16float(high);
    halves[out + shape.cols / 2u + p] = pack2x16float(pair - high);
  }
}
