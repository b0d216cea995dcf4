// topk: what the two steps from logits to candidates share.
//   x [s][VOCAB] f32   one workgroup takes SPAN logits (x) of one sequence (y)
//   out [s][4 + 4·GROUPS + 2·CAP] u32: (count, best id, 0, 0), (max, id, Σ exp(x−max), 0) of each span as
//   float bits, then the candidates (id, logit)   tops [s][GROUPS][PARTS]: the largest of each part of a span, which has
//   every PARTS-th logit
const VOCAB: u32 = 4096u;
const SPAN: u32 = 1024u;
const PARTS: u32 = 32u;    // a power of two, at most LANES
const CAP: u32 = 1024u;
const LANES: u32 = 256u;   // a power of two

const GROUPS: u32 = (VOCAB + SPAN - 1u) / SPAN;
const TOPS: u32 = GROUPS * PARTS;
const OUT: u32 = 4u + 4u * GROUPS + 2u * CAP;
const OWN: u32 = (SPAN + LANES - 1u) / LANES; // logits of a thread
const LEAST: f32 = -3.4e38;

@group(0) @binding(0) var<storage, read> x: array<f32>;

// logit returns the k-th logit of a thread, or LEAST behind the last.
fn logit(group: vec3<u32>, lane: u32, k: u32) -> f32 {
  let i = k * LANES + lane;
  let at = group.x * SPAN + i;
  return select(LEAST, x[group.y * VOCAB + min(at, VOCAB - 1u)], i < SPAN && at < VOCAB);
}
