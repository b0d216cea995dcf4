// topk_pick: second step: appends the logits down to a bound, above which there are at least K. The bound is that of a bucket of
// distances from the largest: the first down to which K parts of spans have their largest.
//   operands, launch and constants as in shared/topk.wgsl; the count goes beyond CAP if there are more than fit
//   bucket i has distances from i·WIDTH to (i+1)·WIDTH; what is further than all buckets is never appended
//   rows [s] (token, position, sequence, 0) become those of the next step, if each sequence goes on with the largest
//   logit, which out names behind the count; of equal ones the lowest id counts
// with shared/topk.wgsl: VOCAB, SPAN, PARTS, CAP, LANES, GROUPS, TOPS, OUT, OWN, LEAST, x, logit
const WIDTH: f32 = 0.03125;
const BUCKETS: u32 = 1024u;
const K: u32 = 64u;

const EACH: u32 = (BUCKETS + LANES - 1u) / LANES; // buckets of a thread
const FEW: u32 = (TOPS + LANES - 1u) / LANES;     // parts of a thread
const SPANS: u32 = (GROUPS + LANES - 1u) / LANES; // spans of a thread of the first workgroup
const RUN: u32 = 16u;                            // threads that are added up together, a divisor of LANES
const RUNS: u32 = LANES / RUN;

@group(0) @binding(1) var<storage, read_write> out: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> tops: array<f32>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<u32>>;

var<workgroup> buckets: array<atomic<u32>, BUCKETS>; // how many parts have their largest there
var<workgroup> most: array<f32, LANES>;
var<workgroup> mostly: array<f32, RUNS>;
var<workgroup> seen: array<u32, LANES>;
var<workgroup> passed: array<u32, RUNS>;
var<workgroup> few: atomic<u32>;
var<workgroup> best: atomic<u32>;

// highest returns the largest of a number of each thread.
fn highest(v: f32, lane: u32) -> f32 {
  most[lane] = v;
  workgroupBarrier();
  var top = v;
  for (var i = 0u; i < RUN; i++) { top = max(top, most[i * RUNS + lane % RUNS]); } // unroll
  if (lane < RUNS) { mostly[lane] = top; }
  workgroupBarrier();
  for (var i = 0u; i < RUNS; i++) { top = max(top, mostly[i]); } // unroll
  return top;
}

// taken returns how many buckets are taken.
fn taken(lane: u32) -> u32 {
  var mine = 0u;
  for (var i = lane * EACH; i < min(lane * EACH + EACH, BUCKETS); i++) { mine += atomicLoad(&buckets[i]); }
  seen[lane] = mine;
  workgroupBarrier();
  if (lane < RUNS) {
    var sum = 0u;
    for (var i = 0u; i < RUN; i++) { sum += seen[lane * RUN + i]; } // unroll
    passed[lane] = sum;
  }
  workgroupBarrier();
  var sum = 0u; // in the buckets of all threads before
  for (var i = 0u; i < RUNS; i++) { sum += select(0u, passed[i], i < lane / RUN); } // unroll
  for (var i = 0u; i < RUN; i++) { sum += select(0u, seen[lane / RUN * RUN + i], i < lane % RUN); } // unroll
  var n = 0u; // buckets down to which there are fewer than K
  for (var i = lane * EACH; i < min(lane * EACH + EACH, BUCKETS); i++) {
    sum += atomicLoad(&buckets[i]);
    if (sum < K) { n++; }
  }
  atomicAdd(&few, n);
  workgroupBarrier();
  return min(atomicLoad(&few) + 1u, BUCKETS);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let o = group.y * OUT;
  var own: array<f32, OWN>;
  var parts: array<f32, FEW>;
  var own_most = LEAST;
  for (var k = 0u; k < FEW; k++) { // unroll
    let i = k * LANES + lane;
    parts[k] = select(LEAST, tops[group.y * TOPS + min(i, TOPS - 1u)], i < TOPS);
    own_most = max(own_most, parts[k]);
  }
  for (var k = 0u; k < OWN; k++) { own[k] = logit(group, lane, k); } // unroll
  var highs: array<f32, SPANS>; // the largest logits of spans, and their ids
  var ids: array<u32, SPANS>;
  if (group.x == 0u) {
    for (var k = 0u; k < SPANS; k++) { // unroll
      let i = min(k * LANES + lane, GROUPS - 1u);
      highs[k] = bitcast<f32>(atomicLoad(&out[o + 4u + 4u * i]));
      ids[k] = atomicLoad(&out[o + 5u + 4u * i]);
    }
  }
  for (var i = lane; i < BUCKETS; i += LANES) { atomicStore(&buckets[i], 0u); }
  if (lane == 0u) {
    atomicStore(&few, 0u);
    atomicStore(&best, VOCAB - 1u);
  }
  let top = highest(own_most, lane);
  for (var k = 0u; k < FEW; k++) { // unroll
    let bucket = (top - parts[k]) / WIDTH;
    if (bucket < f32(BUCKETS)) { atomicAdd(&buckets[u32(bucket)], 1u); }
  }
  if (group.x == 0u) {
    for (var k = 0u; k < SPANS; k++) { // unroll
      if (highs[k] == top) { atomicMin(&best, ids[k]); }
    }
  }
  workgroupBarrier();
  let bound = f32(taken(lane));
  if (group.x == 0u && lane == 0u) {
    let id = atomicLoad(&best);
    atomicStore(&out[o + 1u], id);
    rows[group.y] = vec4<u32>(id, rows[group.y].y + 1u, rows[group.y].z, 0u);
  }
  for (var k = 0u; k < OWN; k++) { // unroll
    if ((top - own[k]) / WIDTH < bound) {
      let n = atomicAdd(&out[o], 1u);
      if (n < CAP) {
        atomicStore(&out[o + 4u + 4u * GROUPS + 2u * n], group.x * SPAN + k * LANES + lane);
        atomicStore(&out[o + 5u + 4u * GROUPS + 2u * n], bitcast<u32>(own[k]));
      }
    }
  }
}
