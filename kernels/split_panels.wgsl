// split_panels: activations as matvec_matrix reads them: each the sum of two float16, hi and lo, times a power of two for its
// token, in matrices of 16 × 16; normalized before, if so wanted.
//   x [t][STRIDE] f32, zero from WIDTH on   g [WIDTH] f32: weights of the norm
//   panels [COLS/16][WIDE][hi, lo][token % 16][16] f16, in the order in which matvec_matrix decodes weights   units [t] f32: what
//   hi + lo is to be multiplied by   one workgroup splits one token
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/steps.wgsl: EACH_COLS, STEP_COLS, ROUND_WORDS, PAIRS
// with shared/upper.wgsl: upper
const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const COLS: u32 = 4096u;   // columns stored, a multiple of STEP_COLS
const WIDTH: u32 = 4096u;  // columns of the model
const STRIDE: u32 = 4096u; // at least COLS
const WIDE: u32 = 1u;      // panels of 16 tokens
const NORM: u32 = 0u;      // 1: x/√(mean(x²)+EPS)·g is split
const EPS: f32 = 0.00001;
const LANES: u32 = 256u;   // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> panels: array<u32>;
@group(0) @binding(3) var<storage, read_write> units: array<f32>;

var<workgroup> ends: array<vec2<f32>, LANES>; // the largest element of a lane and the sum of its squares

// weighted returns element k of the vector at in, times its weight.
fn weighted(in: u32, k: u32) -> f32 {
  if (NORM == 0u) { return x[in + k]; }
  return x[in + k] * g[min(k, WIDTH - 1u)];
}

// pair_column returns which column the first element of pair p of a stored row is, as the rounds decode them; the second is two columns on.
fn pair_column(p: u32) -> u32 {
  let step = 2u * p / STEP_COLS;
  let round = 2u * p % STEP_COLS / 64u;
  let thread = p % 4u;
  let k = p % 32u / 4u; // the thread's pair of the round
  let shift = k % PAIRS * BITS;
  let word = round * ROUND_WORDS + k / PAIRS;
  let quad = (step * STEP_COLS + thread * EACH_COLS) / 4u + word * (8u / BITS) + shift % 8u / BITS;
  return 4u * natural(quad) + shift / 8u;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = group.x;
  let in = t * STRIDE;
  var end = vec2<f32>();
  for (var k = lane; k < WIDTH; k += LANES) {
    end.x = max(end.x, abs(weighted(in, k)));
    end.y += x[in + k] * x[in + k];
  }
  ends[lane] = end;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { ends[lane] = vec2<f32>(max(ends[lane].x, ends[lane + half].x), ends[lane].y + ends[lane + half].y); }
  }
  workgroupBarrier();
  // The largest element comes to lie below 2¹⁵, as in split.
  let exponent = max(bitcast<u32>(ends[0].x) >> 23u, 15u);
  let scale = bitcast<f32>((268u - exponent) << 23u);
  if (lane == 0u) {
    var unit = bitcast<f32>((exponent - 14u) << 23u);
    if (NORM == 1u) { unit /= sqrt(ends[0].y / f32(WIDTH) + EPS); }
    units[t] = unit;
  }
  for (var p = lane; p < COLS / 2u; p += LANES) {
    let c = pair_column(p);
    let pair = vec2<f32>(weighted(in, c), weighted(in, c + 2u)) * scale;
    let high = upper(pair);
    let to = (p / 8u * WIDE + t / 16u) * 256u + t % 16u * 8u + p % 8u;
    panels[to] = pack2x16float(high);
    panels[to + 128u] = pack2x16float(pair - high);
  }
}
