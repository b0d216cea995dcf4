// topk_pick: third step: appends the logits of the highest buckets that hold at least K together.
//   operands, launch and constants as in shared/topk.wgsl; the count goes beyond CAP if there are more than fit
//   rows [s] (token, position, sequence, 0) become those of the next step, if each sequence goes on with the largest
//   logit, which out names behind the count; of equal ones the lowest id counts
// with shared/topk.wgsl: VOCAB, SPAN, CAP, BUCKETS, LANES, GROUPS, OUT, x
// with shared/highest.wgsl: tops, highest
const WIDTH: f32 = 0.03125;
const K: u32 = 64u;

const EACH: u32 = (BUCKETS + LANES - 1u) / LANES; // buckets per lane

@group(0) @binding(1) var<storage, read_write> out: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> hist: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<u32>>;

var<workgroup> seen: array<u32, LANES>; // logits in the buckets of the lanes up to this one
var<workgroup> few: atomic<u32>;
var<workgroup> best: atomic<u32>;

fn word(i: u32) -> u32 { return atomicLoad(&out[i]); }

// taken returns how many of the highest buckets are taken.
fn taken(base: u32, lane: u32) -> u32 {
  var mine = 0u;
  for (var i = lane * EACH; i < min(lane * EACH + EACH, BUCKETS); i++) { mine += hist[base + i]; }
  seen[lane] = mine;
  if (lane == 0u) {
    atomicStore(&few, 0u);
    atomicStore(&best, VOCAB - 1u);
  }
  for (var step = 1u; step < LANES; step *= 2u) { // sums of all lanes up to this one
    workgroupBarrier();
    let before = select(0u, seen[max(lane, step) - step], lane >= step);
    workgroupBarrier();
    seen[lane] += before;
  }
  workgroupBarrier();
  var sum = seen[lane] - mine;
  var n = 0u; // buckets down to which there are fewer than K logits
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
  if (group.x == 0u) {
    for (var i = lane; i < GROUPS; i += LANES) {
      if (bitcast<f32>(word(o + 4u + 4u * i)) == top) { atomicMin(&best, word(o + 5u + 4u * i)); }
    }
  }
  workgroupBarrier();
  if (group.x == 0u && lane == 0u) {
    let id = atomicLoad(&best);
    let row = rows[group.y];
    atomicStore(&out[o + 1u], id);
    rows[group.y] = vec4<u32>(id, row.y + 1u, row.z, 0u);
  }
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
