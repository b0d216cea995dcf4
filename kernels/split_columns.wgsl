// split_columns: vectors as gram_matrix reads them: each element the sum of two float16, hi and lo, times a power of two for its
// column.
//   x, z [t][X_STRIDE] f32, t from step.first on: x, or x − z if DIFF, is split; t = 0 counts FIRST times
//   halves [t][hi, lo][STRIDE] f16, zeros from n to a multiple of 16   units [STRIDE] f32: what hi + lo is to be multiplied by
//   one workgroup splits 64 columns of all tokens
// with shared/step.wgsl: Step
// with shared/upper.wgsl: upper
const X_STRIDE: u32 = 256u; // even
const STRIDE: u32 = 256u;   // a multiple of 64
const DIFF: u32 = 0u;
const FIRST: u32 = 1u;
const LANES: u32 = 256u;

const TURNS: u32 = LANES / 32u; // tokens that are read at a time, by 32 threads each

@group(0) @binding(0) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> z: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> halves: array<u32>;
@group(0) @binding(3) var<storage, read_write> units: array<vec2<f32>>;
@group(0) @binding(4) var<uniform> step: Step;

var<workgroup> tops: array<vec2<f32>, LANES>;

// value returns the elements of a pair of columns and a token.
fn value(t: u32, pair: u32) -> vec2<f32> {
  if (t >= step.n) { return vec2<f32>(); }
  let i = (step.first + t) * (X_STRIDE / 2u) + pair;
  var v = x[i];
  if (DIFF == 1u) { v -= z[i]; }
  if (FIRST != 1u && t == 0u) { v *= f32(FIRST); }
  return v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let pair = group.x * 32u + lane % 32u;
  var top = vec2<f32>();
  for (var t = lane / 32u; t < step.n; t += TURNS) { top = max(top, abs(value(t, pair))); }
  tops[lane] = top;
  for (var half = LANES / 2u; half >= 32u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { tops[lane] = max(tops[lane], tops[lane + half]); }
  }
  workgroupBarrier();
  // The largest element of a column comes to lie below 2¹⁵, as in split.
  let exponents = max(bitcast<vec2<u32>>(tops[lane % 32u]) >> vec2<u32>(23u), vec2<u32>(15u));
  let scale = bitcast<vec2<f32>>((vec2<u32>(268u) - exponents) << vec2<u32>(23u));
  if (lane < 32u) { units[pair] = bitcast<vec2<f32>>((exponents - vec2<u32>(14u)) << vec2<u32>(23u)); }
  for (var t = lane / 32u; t < (step.n + 15u) / 16u * 16u; t += TURNS) {
    let v = value(t, pair) * scale;
    let high = upper(v);
    halves[2u * t * (STRIDE / 2u) + pair] = pack2x16float(high);
    halves[(2u * t + 1u) * (STRIDE / 2u) + pair] = pack2x16float(v - high);
  }
}
