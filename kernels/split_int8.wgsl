// split_int8: activations as matvec_int8 reads them: each unit·(256·hi + lo), whole numbers in two limbs of eight bits, with a
// unit for each chunk of columns; normalized before, if so wanted.
//   x [step.first + t][STRIDE] f32, zero from WIDTH on   g [WIDTH] f32: weights of the norm
//   limbs [step][token / 16][hi, lo][EACH_COLS/64][token % 16][thread] vec4<u32>, where a step is what four threads read at a time; with
//   BOTH, lo of token t is hi of token 8 + t   units [chunk][token / 16][token % 16] (unit, that times the sum of the chunk's whole
//   numbers)   factors [t] f32: with NORM = 1, what products are to be multiplied by   one workgroup splits 4·LANES elements (y) of a token (x)
// with shared/step.wgsl: Step
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/chunks.wgsl: EACH_COLS, STEP_COLS, CHUNKS, CHUNK, QUADS
// with shared/split8.wgsl: LIMIT8, unit8, whole8, words8, place8
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
const ROUNDS: u32 = (ALL + LANES - 1u) / LANES;
const TEAM: u32 = LANES / 16u; // threads whose squares are added up first

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<f32>; // if NORM
@group(0) @binding(2) var<storage, read_write> limbs: array<u32>;
@group(0) @binding(3) var<storage, read_write> units: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> factors: array<f32>; // if NORM
@group(0) @binding(5) var<uniform> step: Step;

var<workgroup> tops: array<f32, LANES>;
var<workgroup> wholes: array<i32, LANES>;
var<workgroup> squares: array<f32, LANES>;
var<workgroup> teams: array<f32, 16>;

// weighted returns a quad of a token, times the weights of the norm.
fn weighted(four: vec4<f32>, quad: u32) -> vec4<f32> {
  if (NORM == 0u) { return four; }
  var made = four;
  for (var i = 0u; i < 4u; i++) { made[i] *= g[min(4u * quad + i, WIDTH - 1u)]; } // unroll
  return made;
}

// squared returns the sum of the squares of this thread's share of a token.
fn squared(in: u32, lane: u32) -> f32 {
  var sum = 0.0;
  for (var r = 0u; r < ROUNDS; r++) { // unroll
    let four = x[in + min(lane + r * LANES, ALL - 1u)];
    sum += select(0.0, dot(four, four), lane + r * LANES < ALL);
  }
  return sum;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = group.x;
  let in = (step.first + t) * (STRIDE / 4u);
  let p = group.y * LANES + lane;
  let quad = natural(min(p, ALL - 1u));
  let made = weighted(select(vec4<f32>(), x[in + quad], p < ALL), quad);
  if (NORM == 1u && group.y == 0u) { squares[lane] = squared(in, lane); }
  let sizes = abs(made);
  tops[lane] = max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
  workgroupBarrier();
  var most = 0.0;
  for (var i = 0u; i < FOURS; i++) { most = max(most, tops[lane / FOURS * FOURS + i]); } // unroll
  let unit = unit8(most);
  let whole = whole8(made, unit);
  wholes[lane] = whole.x + whole.y + whole.z + whole.w;
  if (NORM == 1u && lane < 16u) {
    var sum = 0.0;
    for (var i = 0u; i < TEAM; i++) { sum += squares[lane + 16u * i]; } // unroll
    teams[lane] = sum;
  }
  workgroupBarrier();
  if (p < ALL) {
    let words = words8(whole);
    limbs[place8(p, t, 0u, QUADS, WIDE, BOTH)] = words.x;
    limbs[place8(p, t, 1u, QUADS, WIDE, BOTH)] = words.y;
    if (lane % FOURS == 0u) {
      var all = 0;
      for (var i = 0u; i < FOURS; i++) { all += wholes[lane + i]; } // unroll
      units[(p / FOURS * WIDE + t / 16u) * 16u + t % 16u] = vec2<f32>(unit, unit * f32(all));
    }
  }
  if (NORM == 1u && group.y == 0u && lane == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) { sum += teams[i]; } // unroll
    factors[t] = 1.0 / sqrt(sum / f32(WIDTH) + EPS);
  }
}
