// spans: where each expert's inputs begin among the sorted ones, for gram, and how many it has had so far
//   order: slots and tiles as group makes them
//   out [EXPERTS+1][EACH] u32: (inputs, first, inputs of all passes so far), with totals of all experts at the end
//   launched as one workgroup; each lane takes whole experts
const EXPERTS: u32 = 8u;
const SLOTS: u32 = 512u; // choices of the largest pass; tiles begin at this word of order
const EACH: u32 = 64u;   // words from one expert to the next
const TILE: u32 = 64u;
const LANES: u32 = 64u;

const MOST: u32 = SLOTS / TILE + EXPERTS; // tiles

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var e = lane; e <= EXPERTS; e += LANES) {
    var n = 0u;
    var first = 0u;
    for (var i = 0u; i < MOST; i++) {
      let o = SLOTS + 4u * i;
      if (order[o] == e || e == EXPERTS) {
        if (n == 0u) { first = order[o + 1u]; }
        n += order[o + 2u]; // 0 in the tiles after the last
      }
    }
    out[e * EACH] = n;
    out[e * EACH + 1u] = first;
    out[e * EACH + 2u] += n;
  }
}
