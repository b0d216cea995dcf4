// attention_subgroups: attention of single tokens, as attention_split does it, and with TURN = 1 as rope and attention_split do, in
// one dispatch. Threads of a subgroup add up scores by shuffles, so that no step waits for other subgroups. Those that share
// a position, SPAN of them, hold eight elements each.
//   rows [t] (token, position, sequence, 0)   angles as in rope
//   TURN = 1: x [t][X_STRIDE/4]: q [HEADS][DIM], k [KV_HEADS][DIM], v, vec4<f32>; tokens are of different sequences; key and value
//   are appended to the cache by one of the workgroups that share them, and none reads them there   0: x: q, scaled
//   ADDENDS > 0: x [ADDENDS][16·PANELS][X_STRIDE/4] is to be added up first, with b [X_STRIDE] f32 if BIAS = 1
//   kc, vc [sequence][KV_HEADS][CAP][DIM/8] vec4<u32>, float16
//   parts: see joined, if JOIN = 1   next: [t] the heads as limbs if LIMBS = 1, as LIMBS = 2 says, or [t][O_STRIDE] f32; or parts for
//   attention_join, if there are several and JOIN = 0
//   one workgroup computes QUERIES heads that share keys, over one part: x = part + SPLITS·(head/QUERIES), y = t
// with shared/rotated.wgsl: ROT, INTERLEAVED, partner, angle, rotated
// with shared/turned.wgsl: TURNED, TURNED_QUADS, TURNS, TERMS, GATHERED, WHOLE_QUADS, GATHERS, turned, whole, element, new_octet, row_of, gather, turn
// with shared/window.wgsl: WINDOW, CHUNK, first
// with shared/score.wgsl: SOFTCAP, ALIBI, ALIBI_SCALE, scored
// with shared/parts.wgsl: Part, part_of, slot, low, high
// with shared/packed.wgsl: packed
// with shared/limbs.wgsl: LIMIT, limbs_whole, limbs_pack, limbs_unit
// with shared/split8.wgsl: LIMIT8, unit8, whole8, words8, place8
// with shared/shuffles.wgsl: beside, four_beside, of_thread, for_any
// with shared/merged.wgsl: TEAMS, QUADS, OUTS, ROUNDS, outs, ends, join_sides, store_heads, store_quad, store_four, hand_quad
// with shared/chunked.wgsl: BITS, BOTH, PANELS, UNIT_COLS, UNITS, FOURS, across, hand_chunk
// with shared/joined.wgsl: SUMS, WORDS, EVERY, PARTS, PIECES, TAKEN, ENDS, part_ends, shares, before, join_last, tell, take, join_parts
enable subgroups;
diagnostic(off, subgroup_uniformity); // a branch is taken by all threads of a subgroup or by none

const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head, a multiple of 8
const SPAN: u32 = 8u;      // DIM/8, rounded up to a power of two
const SIZE: u32 = 8u;      // threads that a subgroup has at least, a power of two: SPAN or more, with LIMBS = 1 eight or more
const QUERIES: u32 = 2u;   // a divisor of HEADS/KV_HEADS, at most 4
const SPLITS: u32 = 1u;
const TURN: u32 = 1u;
const ADDENDS: u32 = 0u;   // parts of the product that makes x; 0: it is added up
const BIAS: u32 = 0u;      // 1: … and what is added to them
const X_STRIDE: u32 = 512u;
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const SCALE: f32 = 0.125;  // of queries, if TURN = 1
const LANES: u32 = 128u;   // a multiple of SIZE
const EACH: u32 = 4u;      // positions per thread in a step: 1, 2, 4 or 8, at most SPAN
const SINKS: u32 = 0u;     // 1: each head's softmax has one more score, of which nothing is read
const JOIN: u32 = 0u;      // 1: the last workgroup joins the parts, of which there are several
const LIMBS: u32 = 0u;     // 1: DIM is a multiple of 32; 2: next has what split_int8 would make of the heads, which are whole chunks

const OCTETS: u32 = DIM / 8u;
const SIDES: u32 = LANES / SPAN; // positions that are read side by side
const STEP: u32 = SIDES * EACH;
const WIDE: u32 = QUERIES / 2u * 2u + QUERIES % 2u * (QUERIES / 2u + 1u); // QUERIES, rounded up to a power of two
const SCORES: u32 = WIDE * EACH; // of a side in a step
const HELD: u32 = (SCORES + SPAN - 1u) / SPAN; // that a thread has at the end
const FOLD: u32 = SCORES / HELD; // threads that have them all
const HALF: u32 = (SCORES + 1u) / 2u;
const FOURTH: u32 = (SCORES + 3u) / 4u;
const EIGHTH: u32 = (SCORES + 7u) / 8u;
const SIXTEENTH: u32 = (SCORES + 15u) / 16u;
const ACC: u32 = QUERIES * 2u;
const SLACK: f32 = 4.0;          // by which a score may exceed what exponentials are relative to

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // if BIAS
@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>; // if TURN
@group(0) @binding(4) var<storage, read_write> kc: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> vc: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> sinks: array<f32>; // if SINKS: [HEADS]
@group(0) @binding(7) var<storage, read_write> parts: array<atomic<u32>>; // if JOIN
@group(0) @binding(8) var<storage, read_write> next: array<u32>;

// along adds to a sum the products of four elements.
fn along(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }

// exchange adds up two elements with those of the thread that many threads away: of one pair in this thread, of the other there.
fn exchange(a: f32, b: f32, away: u32, octet: u32) -> f32 {
  let far = (octet & away) != 0u;
  return select(a, b, far) + beside(select(b, a, far), away);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32,
        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) own: u32) {
  let lane = index / size * size + own;
  let octet = lane % SPAN;
  let column = min(octet, OCTETS - 1u);
  let side = lane / SPAN;
  let head = group.x / SPLITS * QUERIES;
  let kv = head / (HEADS / KV_HEADS);
  let part = part_of(rows[group.y], kv, group.x % SPLITS);
  var keys: array<vec4<u32>, EACH>; // of a step
  var values: array<vec4<u32>, EACH>;
  for (var i = 0u; i < EACH; i++) { keys[i] = kc[slot(part, part.p0 + i * SIDES + side) + column]; } // unroll
  for (var i = 0u; i < EACH; i++) { values[i] = vc[slot(part, part.p0 + i * SIDES + side) + column]; } // unroll
  let newest = TURN == 1u && part.p0 <= part.position && part.end > part.position; // whether this part has the token's own position
  if (TURN == 1u) {
    turn(group.y, head, kv, part.position, lane);
    workgroupBarrier();
    if (newest && head % (HEADS / KV_HEADS) == 0u && lane < OCTETS) {
      let to = (part.base + part.position % CAP) * OCTETS + lane;
      kc[to] = new_octet(QUERIES, lane);
      vc[to] = new_octet(QUERIES + 1u, lane);
    }
  }
  var query: array<vec4<f32>, ACC>; // this octet of each
  for (var k = 0u; k < ACC; k++) { // unroll
    let quad = 2u * column + k % 2u;
    if (TURN == 1u) {
      query[k] = turned[(k / 2u * DIM / 4u + quad) % TURNED_QUADS];
    } else {
      query[k] = x[(group.y * X_STRIDE + (head + k / 2u) * DIM) / 4u + quad];
    }
    if (octet >= OCTETS) { query[k] = vec4<f32>(); }
  }
  var acc: array<vec4<f32>, ACC>;   // Σ exp(s−best)·v over this side's positions
  let mine = octet % FOLD * HELD;   // the first score that this thread has of a step: of position mine / WIDE, query mine % WIDE
  var best: array<f32, HELD>;       // what exponentials of these queries are relative to
  var fade: array<f32, HELD>;       // what sums are multiplied by as the best changes
  var sum: array<f32, HELD>;        // Σ exp(s−best) of the scores that this thread has
  for (var h = 0u; h < HELD; h++) { best[h] = -1e30; } // unroll
  for (var p = part.p0; p < part.end; p += STEP) {
    let more = p + STEP < part.end;
    if (newest && !more) {
      for (var i = 0u; i < EACH; i++) { // unroll
        if (p + i * SIDES + side >= part.position) {
          keys[i] = new_octet(QUERIES, column);
          values[i] = new_octet(QUERIES + 1u, column);
        }
      }
    }
    var scores: array<f32, SCORES>; // [position][query], at the end the thread's own
    for (var i = 0u; i < EACH; i++) { // unroll
      let a = low(keys[i]);
      let b = high(keys[i]);
      for (var t = 0u; t < QUERIES; t++) { scores[i * WIDE + t] = along(query[2u * t + 1u], b, along(query[2u * t], a, 0.0)); } // unroll
    }
    if (more) {
      for (var i = 0u; i < EACH; i++) { keys[i] = kc[slot(part, p + STEP + i * SIDES + side) + column]; } // unroll
    }
    for (var k = 0u; k < HALF; k++) { // unroll
      if (FOLD >= 2u) { scores[k] = exchange(scores[k], scores[(k + HALF) % SCORES], FOLD / 2u, octet); }
    }
    for (var k = 0u; k < FOURTH; k++) { // unroll
      if (FOLD >= 4u) { scores[k] = exchange(scores[k], scores[(k + FOURTH) % SCORES], FOLD / 4u, octet); }
    }
    for (var k = 0u; k < EIGHTH; k++) { // unroll
      if (FOLD >= 8u) { scores[k] = exchange(scores[k], scores[(k + EIGHTH) % SCORES], FOLD / 8u, octet); }
    }
    for (var k = 0u; k < SIXTEENTH; k++) { // unroll
      if (FOLD >= 16u) { scores[k] = exchange(scores[k], scores[(k + SIXTEENTH) % SCORES], FOLD / 16u, octet); }
    }
    if (FOLD == 32u) { scores[0] = exchange(scores[0], scores[1u % SCORES], 1u, octet); }
    let here = p + mine / WIDE * SIDES + side;
    var better = false; // whether one is so much better than the best that sums have to become relative to it
    for (var h = 0u; h < HELD; h++) { // unroll
      for (var m = FOLD; m < SPAN; m *= 2u) { scores[h] += beside(scores[h], m); }
      scores[h] = select(-1e30, scored(scores[h], head + (mine + h) % WIDE, part.position - here), here < part.end);
      better = better || scores[h] > best[h] + SLACK;
    }
    if (for_any(better)) {
      for (var h = 0u; h < HELD; h++) { // unroll
        var top = max(best[h], scores[h]);
        for (var m = WIDE / HELD; m < FOLD; m *= 2u) { top = max(top, beside(top, m)); }
        fade[h] = exp(best[h] - top);
        best[h] = top;
        sum[h] *= fade[h];
      }
      for (var t = 0u; t < QUERIES; t++) { // unroll
        let by = of_thread(fade[t % HELD], own - octet + t / HELD);
        acc[2u * t] *= by;
        acc[2u * t + 1u] *= by;
      }
    }
    for (var h = 0u; h < HELD; h++) { // unroll
      scores[h] = exp(scores[h] - best[h]);
      sum[h] += scores[h];
    }
    for (var i = 0u; i < EACH; i++) { // unroll
      let a = low(values[i]);
      let b = high(values[i]);
      for (var t = 0u; t < QUERIES; t++) { // unroll
        let weight = vec4<f32>(of_thread(scores[(i * WIDE + t) % HELD], own - octet + (i * WIDE + t) / HELD));
        acc[2u * t] = fma(weight, a, acc[2u * t]);
        acc[2u * t + 1u] = fma(weight, b, acc[2u * t + 1u]);
      }
    }
    if (more) {
      for (var i = 0u; i < EACH; i++) { values[i] = vc[slot(part, p + STEP + i * SIDES + side) + column]; } // unroll
    }
  }
  for (var h = 0u; h < HELD; h++) { // unroll
    for (var m = WIDE / HELD; m < FOLD; m *= 2u) { sum[h] += beside(sum[h], m); }
  }
  for (var t = 0u; t < QUERIES; t++) { // unroll
    let from_thread = own - octet + t / HELD;
    join_sides(t, lane, of_thread(sum[t % HELD], from_thread), of_thread(best[t % HELD], from_thread), acc[2u * t], acc[2u * t + 1u]);
  }
  workgroupBarrier();
  store_heads(group.y, head, group.x % SPLITS, lane);
}
