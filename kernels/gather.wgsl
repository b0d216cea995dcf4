// gather: the experts' inputs, or their errors, sorted by expert, for gram
//   chosen, other [t·TOP] (expert, weight): the choices of this model and of the reference model
//   order [t·TOP] u32: the slots by expert, as group makes them
//   x, y [t or slot][STRIDE] f32: vectors of this model and of the reference model   out [t·TOP][STRIDE] f32
//   of the slot s = order[i] of token t = s/TOP, with the weight w, or 1 unless WEIGH = 1:
//   KIND = 0: out[i] = w·x, row t if BY_TOKEN, else row s
//   KIND = 1: out[i] = w·y, with the weight and row of the slot in which the reference sends t to this expert; like 0 if it does not
//   KIND = 2: out[i] = w/Σw·(y[t] − x[t]), the sum over t's choices
//   one thread computes one element; groups (x, y) are (elements, i)
const STRIDE: u32 = 256u;
const TOP: u32 = 2u;
const KIND: u32 = 0u;
const BY_TOKEN: u32 = 1u;
const WEIGH: u32 = 0u;
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read> other: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

fn weight(bits: u32) -> f32 { return select(1.0, bitcast<f32>(bits), WEIGH == 1u); }

// share returns the fraction of token t's error that slot s is to correct.
fn share(s: u32, t: u32) -> f32 {
  var sum = 0.0;
  for (var k = 0u; k < TOP; k++) { sum += bitcast<f32>(chosen[t * TOP + k].y); }
  return bitcast<f32>(chosen[s].y) / max(sum, 1e-30);
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= STRIDE) { return; }
  let s = order[id.y];
  let t = s / TOP;
  let mine = chosen[s];
  var v = 0.0;
  if (KIND == 2u) {
    let i = t * STRIDE + id.x;
    v = share(s, t) * (y[i] - x[i]);
  } else {
    v = weight(mine.y) * x[select(s, t, BY_TOKEN == 1u) * STRIDE + id.x];
  }
  if (KIND == 1u) {
    for (var k = 0u; k < TOP; k++) {
      let o = t * TOP + k;
      if (other[o].x == mine.x) { v = weight(other[o].y) * y[select(o, t, BY_TOKEN == 1u) * STRIDE + id.x]; }
    }
  }
  out[id.y * STRIDE + id.x] = v;
}
