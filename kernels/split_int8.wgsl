// split_int8: activations as matvec_int8 reads them: each unit·(256·hi + lo), whole numbers in two limbs of eight bits, with a
// unit for each chunk of columns; normalized before, if so wanted.
//   x [t][STRIDE] f32, zero from WIDTH on   g [WIDTH] f32: weights of the norm
//   limbs [step][token / 16][hi, lo][EACH_COLS/64][token % 16][thread] vec4<u32>, where a step is what four threads read at a time; with
//   BOTH, lo of token t is hi of token 8 + t   units [chunk][token / 16][token % 16] (unit, that times the sum of the chunk's whole
//   numbers)   factors [t] f32: what products are to be multiplied by   one workgroup splits 4·LANES elements (y) of a token (x)
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/chunks.wgsl: EACH_COLS, STEP_COLS, CHUNKS, CHUNK, QUADS
const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const COLS: u32 = 4096u;   // columns stored, a multiple of STEP_COLS
const WIDTH: u32 = 4096u;  // columns of the model
const STRIDE: u32 = 4096u; // at least COLS
const WIDE: u32 = 1u;      // panels of 16 tokens
const BOTH: u32 = 0u;      // 1: up to eight tokens, whose limbs are in one panel
const NORM: u32 = 0u;      // 1: x/√(mean(x²)+EPS)·g is split
const EPS: f32 = 0.00001;
const LANES: u32 = 256u;   // a power of two, whole chunks

const ALL: u32 = COLS / 4u;    // quads
const FOURS: u32 = CHUNK / 4u; // of a chunk
const LIMBS: u32 = 2u - BOTH;
const LIMIT: f32 = 32639.0;    // 127·256 + 127: both limbs stay within eight bits

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> limbs: array<u32>;
@group(0) @binding(3) var<storage, read_write> units: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> factors: array<f32>;

var<workgroup> tops: array<f32, LANES>;
var<workgroup> wholes: array<i32, LANES>;

// weighted returns a quad of a token, times the weights of the norm.
fn weighted(four: vec4<f32>, quad: u32) -> vec4<f32> {
  if (NORM == 0u) { return four; }
  var made = four;
  for (var i = 0u; i < 4u; i++) { made[i] *= g[min(4u * quad + i, WIDTH - 1u)]; } // unroll
  return made;
}

// pack returns the words of hi and lo.
fn pack(whole: vec4<i32>) -> vec2<u32> {
  let hi = (whole + vec4<i32>(128)) >> vec4<u32>(8u);
  let high = bitcast<vec4<u32>>(hi) & vec4<u32>(255u);
  let low = bitcast<vec4<u32>>(whole) & vec4<u32>(255u);
  return vec2<u32>(high.x | (high.y << 8u) | (high.z << 16u) | (high.w << 24u), low.x | (low.y << 8u) | (low.z << 16u) | (low.w << 24u));
}

// place returns where in limbs the word of quad p of a stored row goes, of a limb of token t.
fn place(p: u32, t: u32, limb: u32) -> u32 {
  let q = p % (4u * QUADS) % QUADS;
  let thread = p % (4u * QUADS) / QUADS;
  let panel = (p / (4u * QUADS) * WIDE + t / 16u) * LIMBS + limb * (1u - BOTH);
  let n = t % 16u + 8u * BOTH * limb;
  return ((panel * (QUADS / 4u) + q / 4u) * 64u + n * 4u + thread) * 4u + q % 4u;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = group.x;
  let in = t * (STRIDE / 4u);
  let p = group.y * LANES + lane;
  let quad = natural(min(p, ALL - 1u));
  let made = weighted(select(vec4<f32>(), x[in + quad], p < ALL), quad);
  let sizes = abs(made);
  tops[lane] = max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
  workgroupBarrier();
  var most = 0.0;
  for (var i = 0u; i < FOURS; i++) { most = max(most, tops[lane / FOURS * FOURS + i]); } // unroll
  let unit = select(most / LIMIT, 0.0, most < 1e-30);
  let whole = vec4<i32>(round(made * select(1.0 / unit, 0.0, unit == 0.0)));
  wholes[lane] = whole.x + whole.y + whole.z + whole.w;
  workgroupBarrier();
  if (p < ALL) {
    let words = pack(whole);
    limbs[place(p, t, 0u)] = words.x;
    limbs[place(p, t, 1u)] = words.y;
    if (lane % FOURS == 0u) {
      var all = 0;
      for (var i = 0u; i < FOURS; i++) { all += wholes[lane + i]; } // unroll
      units[(p / FOURS * WIDE + t / 16u) * 16u + t % 16u] = vec2<f32>(unit, unit * f32(all));
    }
  }
  if (group.y > 0u) { return; }
  if (NORM == 0u) {
    if (lane == 0u) { factors[t] = 1.0; }
    return;
  }
  var squares = 0.0;
  for (var i = lane; i < ALL; i += LANES) { squares += dot(x[in + i], x[in + i]); }
  tops[lane] = squares;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { tops[lane] += tops[lane + half]; }
  }
  if (lane == 0u) { factors[t] = 1.0 / sqrt(tops[0] / f32(WIDTH) + EPS); }
}
