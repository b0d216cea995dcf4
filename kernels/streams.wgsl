// streams: what becomes of a token's residual streams s: s[0] is x, the others lie in side
//   MODE 0: s[a] += Σ (w·tanh(m))[a][b]·s[b], w [COUNT·COUNT][COUNT]; y is the x that comes of it
//   MODE 1: s[a] = s[a] + (1 + (w·tanh(m))[a])·(x − y), w [COUNT][COUNT], where s[0] is y; then y is x·g, if SCALED
//   MODE 2: s[a] += y for all but x
//   MODE 3: x = SCALE·(x + w + y), w [t][STRIDE]
//   m [t][M_STRIDE]   x, y [t][STRIDE] f32   side [t][COUNT−1][STRIDE] f32   g [WIDTH] f32   one thread computes one element (x) of one token (y)
const WIDTH: u32 = 256u;
const STRIDE: u32 = 256u;
const M_STRIDE: u32 = 256u;
const COUNT: u32 = 4u;
const MODE: u32 = 0u;
const SCALED: u32 = 0u;
const SCALE: f32 = 1.0;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> side: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

// mixed returns row i of w, times tanh(m).
fn mixed(t: u32, i: u32) -> f32 {
  var sum = 0.0;
  for (var j = 0u; j < COUNT; j++) { sum += w[i * COUNT + j] * tanh(clamp(m[t * M_STRIDE + j], -20.0, 20.0)); }
  return sum;
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= WIDTH) { return; }
  let at = id.y * STRIDE + id.x;
  let beside = id.y * (COUNT - 1u) * STRIDE + id.x;
  if (MODE == 3u) {
    x[at] = SCALE * (x[at] + w[at] + y[at]);
    return;
  }
  var old: array<f32, COUNT>;
  old[0] = x[at];
  for (var a = 1u; a < COUNT; a++) { old[a] = side[beside + (a - 1u) * STRIDE]; }
  let change = old[0] - y[at];
  for (var a = 0u; a < COUNT; a++) {
    var v = old[a];
    if (MODE == 0u) {
      for (var b = 0u; b < COUNT; b++) { v += mixed(id.y, a * COUNT + b) * old[b]; }
    } else if (MODE == 1u) {
      if (a == 0u) { v = y[at]; }
      v += (1.0 + mixed(id.y, a)) * change;
    } else {
      v += y[at];
    }
    if (a > 0u) { side[beside + (a - 1u) * STRIDE] = v; } else if (MODE < 2u) { x[at] = v; }
  }
  if (MODE == 0u) { y[at] = x[at]; }
  if (MODE == 1u && SCALED == 1u) { y[at] = x[at] * g[id.x]; }
}
