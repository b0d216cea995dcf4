// route: chooses the TOP experts of a token by its router logits, and their weights.
//   x [t][X_STRIDE] f32 router logits, the first EXPERTS of each row
//   chosen [t][TOP] (expert, weight as float bits), the largest logit first; ties go to the lower expert
//   one workgroup per token
const EXPERTS: u32 = 8u;
const TOP: u32 = 2u;
const X_STRIDE: u32 = 256u;
const SIGMOID: u32 = 0u;   // 1: the weight is the logit's sigmoid, 0: its softmax over all experts
const NORMALIZE: u32 = 0u; // 1: the weights of the chosen sum to 1
const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> chosen: array<vec2<u32>>;

var<workgroup> logits: array<f32, EXPERTS>;
var<workgroup> weights: array<f32, TOP>;

fn weight(e: u32) -> f32 {
  if (SIGMOID == 1u) { return 1.0 / (1.0 + exp(clamp(-logits[e], -87.0, 87.0))); }
  var top = logits[0];
  for (var i = 1u; i < EXPERTS; i++) { top = max(top, logits[i]); }
  var sum = 0.0;
  for (var i = 0u; i < EXPERTS; i++) { sum += exp(logits[i] - top); }
  return exp(logits[e] - top) / sum;
}

// rank counts the experts that come before e.
fn rank(e: u32) -> u32 {
  var n = 0u;
  for (var i = 0u; i < EXPERTS; i++) {
    if (logits[i] > logits[e] || (logits[i] == logits[e] && i < e)) { n++; }
  }
  return n;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  for (var e = lane; e < EXPERTS; e += LANES) { logits[e] = x[group.x * X_STRIDE + e]; }
  workgroupBarrier();
  for (var e = lane; e < EXPERTS; e += LANES) {
    let r = rank(e);
    if (r < TOP) {
      weights[r] = weight(e);
      chosen[group.x * TOP + r].x = e;
    }
  }
  workgroupBarrier();
  var sum = 1.0;
  if (NORMALIZE == 1u) {
    sum = 0.0;
    for (var i = 0u; i < TOP; i++) { sum += weights[i]; }
  }
  for (var i = lane; i < TOP; i += LANES) { chosen[group.x * TOP + i].y = bitcast<u32>(weights[i] / sum); }
}
