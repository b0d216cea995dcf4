// route: chooses the TOP experts of a token by its router logits, and their weights.
//   x [t][X_STRIDE] f32 router logits, the first EXPERTS of each row   bias [EXPERTS] f32, unread unless BIASED = 1 or WEIGHED = 1
//   chosen [t][TOP] (expert, weight as float bits), the one that ranks best first; ties go to the lower expert
//   one workgroup per token
const EXPERTS: u32 = 8u;
const TOP: u32 = 2u;
const X_STRIDE: u32 = 256u;
const SIGMOID: u32 = 0u;   // 1: the score is the logit's sigmoid, 0: its softmax over all experts
const BY_SCORE: u32 = 0u;  // 1: experts rank by score, 0: by logit, which orders them alike
const BIASED: u32 = 0u;    // 1: bias is added to what ranks them
const NORMALIZE: u32 = 0u; // 1: the scores of the chosen are made to sum to 1
const SCALE: f32 = 1.0;    // of the weights
const WEIGHED: u32 = 0u;   // 1: at last, weights are multiplied by bias
const MIXER: f32 = 0.0;    // unless 0: a weight is the softmax among those that rank no better and are not far: (m−l)/max(|l|, m) ≤ MIXER
const GROUPS: u32 = 1u;    // of equal size; only experts of the TOP_GROUPS groups that rank best are chosen
const TOP_GROUPS: u32 = 1u;
const BEST: u32 = 1u;      // 1 or 2: a group ranks by the sum of its best experts' ranks, of so many
const LANES: u32 = 64u;

const SIZE: u32 = EXPERTS / GROUPS;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<vec2<u32>>;

var<workgroup> logits: array<f32, EXPERTS>;
var<workgroup> keys: array<f32, EXPERTS>; // what experts rank by
var<workgroup> groups: array<f32, GROUPS>;
var<workgroup> weights: array<f32, TOP>;
var<workgroup> picked: array<u32, TOP>;

fn score(e: u32) -> f32 {
  if (SIGMOID == 1u) { return 1.0 / (1.0 + exp(clamp(-logits[e], -87.0, 87.0))); }
  var top = logits[0];
  for (var i = 1u; i < EXPERTS; i++) { top = max(top, logits[i]); }
  var sum = 0.0;
  for (var i = 0u; i < EXPERTS; i++) { sum += exp(logits[i] - top); }
  return exp(logits[e] - top) / sum;
}

// mixed returns the weight of expert e by MIXER.
fn mixed(e: u32) -> f32 {
  let m = logits[e];
  var sum = 0.0;
  for (var i = 0u; i < EXPERTS; i++) {
    let l = logits[i];
    if ((l < m || (l == m && i >= e)) && (m - l) / max(abs(l), m) <= MIXER) { sum += exp(l - m); }
  }
  return 1.0 / sum;
}

// rank counts the experts that come before e.
fn rank(e: u32) -> u32 {
  var n = 0u;
  for (var i = 0u; i < EXPERTS; i++) {
    if (keys[i] > keys[e] || (keys[i] == keys[e] && i < e)) { n++; }
  }
  return n;
}

// rank_groups leaves the experts outside the best groups no rank.
fn rank_groups(lane: u32) {
  for (var g = lane; g < GROUPS; g += LANES) {
    var best = vec2<f32>(-1e38);
    for (var i = g * SIZE; i < (g + 1u) * SIZE; i++) {
      best = select(vec2<f32>(best.x, max(best.y, keys[i])), vec2<f32>(keys[i], best.x), keys[i] > best.x);
    }
    groups[g] = best.x + select(0.0, best.y, BEST == 2u);
  }
  workgroupBarrier();
  for (var g = lane; g < GROUPS; g += LANES) {
    var n = 0u;
    for (var i = 0u; i < GROUPS; i++) {
      if (groups[i] > groups[g] || (groups[i] == groups[g] && i < g)) { n++; }
    }
    for (var i = g * SIZE; i < (g + 1u) * SIZE && n >= TOP_GROUPS; i++) { keys[i] = -3e38; }
  }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  for (var e = lane; e < EXPERTS; e += LANES) { logits[e] = x[group.x * X_STRIDE + e]; }
  workgroupBarrier();
  for (var e = lane; e < EXPERTS; e += LANES) {
    var key = logits[e];
    if (BY_SCORE == 1u) { key = score(e); }
    if (BIASED == 1u) { key += bias[e]; }
    keys[e] = key;
  }
  workgroupBarrier();
  if (GROUPS > 1u) { rank_groups(lane); }
  for (var e = lane; e < EXPERTS; e += LANES) {
    let r = rank(e);
    if (r < TOP) {
      if (MIXER > 0.0) { weights[r] = mixed(e); } else { weights[r] = score(e); }
      picked[r] = e;
    }
  }
  workgroupBarrier();
  var sum = 1.0;
  if (NORMALIZE == 1u) {
    sum = 0.0;
    for (var i = 0u; i < TOP; i++) { sum += weights[i]; }
  }
  for (var i = lane; i < TOP; i += LANES) {
    var weight = SCALE * (weights[i] / sum);
    if (WEIGHED == 1u) { weight *= bias[picked[i]]; }
    chosen[group.x * TOP + i] = vec2<u32>(picked[i], bitcast<u32>(weight));
  }
}
