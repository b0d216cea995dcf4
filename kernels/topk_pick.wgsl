// topk_pick: third step: appends the logits of the highest buckets that hold at least K together.
//   operands as in topk_max; the count goes on past CAP if there are more than fit
const VOCAB: u32 = 4096u;
const SPAN: u32 = 1024u;
const CAP: u32 = 1024u;
const BUCKETS: u32 = 1024u;
const WIDTH: f32 = 0.03125;
const K: u32 = 64u;
const LANES: u32 = 256u;   // a power of two

const EACH: u32 = (BUCKETS + LANES - 1u) / LANES; // buckets of a lane
const GROUPS: u32 = (VOCAB + SPAN - 1u) / SPAN;
const OUT: u32 = 4u + 4u * GROUPS + 2u * CAP;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> hist: array<u32>;

var<workgroup> tops: array<f32, LANES>;
var<workgroup> seen: array<u32, LANES>; // logits in the buckets of the lanes up to this one
var<workgroup> few: atomic<u32>;

// highest returns the largest of all logits.
fn highest(o: u32, lane: u32) -> f32 {
  var top = -3.4e38;
  for (var i = lane; i < GROUPS; i += LANES) { top = max(top, bitcast<f32>(atomicLoad(&out[o + 4u + 4u * i]))); }
  tops[lane] = top;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { tops[lane] = max(tops[lane], tops[lane + half]); }
  }
  workgroupBarrier();
  return tops[0];
}

// taken returns how many of the highest buckets are taken.
fn taken(base: u32, lane: u32) -> u32 {
  var mine = 0u;
  for (var i = lane * EACH; i < min(lane * EACH + EACH, BUCKETS); i++) { mine += hist[base + i]; }
  seen[lane] = mine;
  if (lane == 0u) { atomicStore(&few, 0u); }
  for (var step = 1u; step < LANES; step *= 2u) { // sums of all lanes up to this one
    workgroupBarrier();
    let before = select(0u, seen[max(lane, step) - step], lane >= step);
    workgroupBarrier();
    seen[lane] += before;
  }
  workgroupBarrier();
  var sum = seen[lane] - mine;
  var n = 0u; // buckets up to which there are fewer than K
  for (var i = lane * EACH; i < min(lane * EACH + EACH, BUCKETS); i++) {
    sum += hist[base + i];
    if (sum < K) { n++; }
  }
  atomicAdd(&few, n);
  workgroupBarrier();
  return min(atomicLoad(&few) + 1u, BUCKETS);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let o = group.y * OUT;
  let top = highest(o, lane);
  let buckets = f32(taken(group.y * BUCKETS, lane));
  let end = min((group.x + 1u) * SPAN, VOCAB);
  for (var i = group.x * SPAN + lane; i < end; i += LANES) {
    let v = x[group.y * VOCAB + i];
    if ((top - v) / WIDTH < buckets) {
      let n = atomicAdd(&out[o], 1u);
      if (n < CAP) {
        atomicStore(&out[o + 4u + 4u * GROUPS + 2u * n], i);
        atomicStore(&out[o + 5u + 4u * GROUPS + 2u * n], bitcast<u32>(v));
      }
    }
  }
}
