// duplicate: what a cache holds of the first positions of a sequence, copied to another sequence.
//   cache [sequence][HEADS][CAP][WORDS] u32   one workgroup (x of GROUPS) copies a part of one head (y)
// Words per position: of a KV cache see rope; a state has one head and one position.
const HEADS: u32 = 2u;
const CAP: u32 = 1024u; // positions in the cache
const WORDS: u32 = 32u; // of a position
const GROUPS: u32 = 8u;
const LANES: u32 = 64u;

struct Copying { source: u32, target_sequence: u32, positions: u32, unused: u32 }

@group(0) @binding(0) var<storage, read_write> cache: array<u32>;
@group(0) @binding(1) var<uniform> copying: Copying;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let source = (copying.source * HEADS + group.y) * CAP * WORDS;
  let copy = (copying.target_sequence * HEADS + group.y) * CAP * WORDS;
  let n = min(copying.positions, CAP) * WORDS;
  for (var i = group.x * LANES + lane; i < n; i += GROUPS * LANES) { cache[copy + i] = cache[source + i]; }
}
