// split_int8: activations as matvec_int8 reads them: each unit·(256·hi + lo), whole numbers in two limbs of eight bits, with a
// unit for each chunk of columns; normalized before, if so wanted.
//   x [step.first + t][STRIDE] f32, zero from WIDTH on   g [WIDTH] f32: weights of the norm
//   addends [ADDENDS][16·WIDE][WIDTH] f32, b [WIDTH] f32: unless ADDENDS is 0, SCALE·(Σ addends + b) is added to x first; step.first is 0
//   limbs [step][token / 16][hi, lo][EACH_COLS/64][token % 16][thread] vec4<u32>, where a step is what four threads read at a time; with
//   BOTH, lo of token t is hi of token 8 + t   units [chunk][token / 16][token % 16] (unit, that times the sum of the chunk's whole
//   numbers)   squares [t][workgroups, rounded up to a multiple of four] f32: with NORM = 1, Σ x² of a workgroup's elements
//   one workgroup splits 4·LANES elements (y) of a token (x)
// with shared/step.wgsl: Step
// with shared/layout.wgsl: WOVEN, VEC, SHARE
// with shared/natural.wgsl: natural
// with shared/chunks.wgsl: EACH_COLS, STEP_COLS, CHUNKS, CHUNK, QUADS
// with shared/split8.wgsl: LIMIT8, unit8, whole8, words8, place8
const BITS: u32 = 4u;      // 8, 4 or 2
const BLOCK: u32 = 128u;   // weights that share a scale
const COLS: u32 = 4096u;   // columns stored, a multiple of STEP_COLS
const WIDTH: u32 = 4096u;  // columns of the model; with addends a multiple of four
const STRIDE: u32 = 4096u; // at least COLS
const WIDE: u32 = 1u;      // panels of 16 tokens
const BOTH: u32 = 0u;      // 1: up to eight tokens, whose limbs are in one panel
const NORM: u32 = 0u;      // 1: x·g is split; products that are multiplied by 1/√(mean(x²)+eps) then are those of normalized vectors
const ADDENDS: u32 = 0u;   // parts of a product that are added up
const BIAS: u32 = 0u;      // 1: it has a bias
const SCALE: f32 = 1.0;
const LANES: u32 = 256u;   // a power of two, whole chunks

const ALL: u32 = COLS / 4u;    // quads
const FOURS: u32 = CHUNK / 4u; // of a chunk
const GROUPS: u32 = (ALL + LANES - 1u) / LANES;
const TERMS: u32 = ADDENDS + 1u / (ADDENDS + 1u); // at least 1
const SUMS: u32 = (GROUPS + 3u) / 4u * 4u;
const TEAM: u32 = LANES / 16u; // threads whose squares are added up first

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> g: array<f32>; // if NORM
@group(0) @binding(2) var<storage, read> addends: array<vec4<f32>>; // if ADDENDS
@group(0) @binding(3) var<storage, read> b: array<f32>; // if BIAS
@group(0) @binding(4) var<storage, read_write> limbs: array<u32>;
@group(0) @binding(5) var<storage, read_write> units: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> squares: array<f32>; // if NORM
@group(0) @binding(7) var<uniform> step: Step;

var<workgroup> tops: array<f32, LANES>;
var<workgroup> wholes: array<i32, LANES>;
var<workgroup> each: array<f32, LANES>; // squares
var<workgroup> teams: array<f32, 16>;

// added returns what a product adds to a quad of token t, before its scale. Nothing is added beyond its rows.
fn added(t: u32, quad: u32) -> vec4<f32> {
  let at = min(quad, WIDTH / 4u - 1u);
  var sum = vec4<f32>();
  for (var i = 0u; i < TERMS; i++) { sum += addends[(i * (16u * WIDE) + t) * (WIDTH / 4u) + at]; } // unroll
  for (var i = 0u; i < 4u; i++) { if (BIAS == 1u) { sum[i] += b[4u * at + i]; } } // unroll
  return select(vec4<f32>(), sum, quad < WIDTH / 4u);
}

// weighted returns a quad of a token, times the weights of the norm.
fn weighted(four: vec4<f32>, quad: u32) -> vec4<f32> {
  if (NORM == 0u) { return four; }
  var made = four;
  for (var i = 0u; i < 4u; i++) { made[i] *= g[min(4u * quad + i, WIDTH - 1u)]; } // unroll
  return made;
}

// store_squares stores the sum of the squares of this workgroup's elements; the last one stores the zeros behind it.
fn store_squares(t: u32, group: u32) {
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) { sum += teams[i]; } // unroll
  squares[t * SUMS + group] = sum;
  if (group + 1u == GROUPS) {
    for (var i = GROUPS; i < SUMS; i++) { squares[t * SUMS + i] = 0.0; }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = group.x;
  let p = group.y * LANES + lane;
  let quad = natural(min(p, ALL - 1u));
  let at = (step.first + t) * (STRIDE / 4u) + quad;
  var four = x[at];
  if (ADDENDS > 0u) {
    four += SCALE * added(t, quad);
    if (p < ALL) { x[at] = four; }
  }
  four = select(vec4<f32>(), four, p < ALL);
  let made = weighted(four, quad);
  let sizes = abs(made);
  tops[lane] = max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
  if (NORM == 1u) { each[lane] = dot(four, four); }
  workgroupBarrier();
  var most = 0.0;
  for (var i = 0u; i < FOURS; i++) { most = max(most, tops[lane / FOURS * FOURS + i]); } // unroll
  let unit = unit8(most);
  let whole = whole8(made, unit);
  wholes[lane] = whole.x + whole.y + whole.z + whole.w;
  if (NORM == 1u && lane < 16u) {
    var sum = 0.0;
    for (var i = 0u; i < TEAM; i++) { sum += each[lane + 16u * i]; } // unroll
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
  if (NORM == 1u && lane == 0u) { store_squares(t, group.y); }
}
