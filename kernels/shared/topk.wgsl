// topk: what the three steps from logits to candidates share.
//   x [s][VOCAB] f32   one workgroup takes SPAN logits (x) of one sequence (y)
//   out [s][4 + 4·GROUPS + 2·CAP] u32: (count, best id, 0, 0), (max, id, Σ exp(x−max), 0) of each span as
//   float bits, then the candidates (id, logit)   hist [s][BUCKETS] u32
const VOCAB: u32 = 4096u;
const SPAN: u32 = 1024u;
const CAP: u32 = 1024u;
const BUCKETS: u32 = 1024u;
const LANES: u32 = 256u;   // a power of two

const GROUPS: u32 = (VOCAB + SPAN - 1u) / SPAN;
const OUT: u32 = 4u + 4u * GROUPS + 2u * CAP;

@group(0) @binding(0) var<storage, read> x: array<f32>;
