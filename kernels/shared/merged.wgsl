// merged: what attention by subgroups ends with: the sums of the sides of a workgroup are joined, and stored as results or as a part.
const TEAMS: u32 = LANES / SIZE;                   // of SIZE threads
const QUADS: u32 = DIM / 4u;                       // of a head
const OUTS: u32 = QUERIES * QUADS;
const ROUNDS: u32 = (OUTS + LANES - 1u) / LANES;   // of outputs

var<workgroup> outs: array<array<vec4<f32>, OUTS>, TEAMS>;
var<workgroup> ends: array<array<vec2<f32>, QUERIES>, TEAMS>; // Σ exp(s−best), best

// join_sides joins what the sides of a team have of query t, and leaves the team's sums in outs.
fn join_sides(t: u32, lane: u32, sum: f32, best: f32, low: vec4<f32>, high: vec4<f32>) {
  var top = best;
  for (var m = SPAN; m < SIZE; m *= 2u) { top = max(top, beside(top, m)); }
  let share = exp(best - top);
  var all = sum * share;
  var a = low * share;
  var b = high * share;
  for (var m = SPAN; m < SIZE; m *= 2u) {
    all += beside(all, m);
    a += four_beside(a, m);
    b += four_beside(b, m);
  }
  if (lane % SIZE < OCTETS) {
    outs[lane / SIZE][t * QUADS + 2u * (lane % SIZE)] = a;
    outs[lane / SIZE][t * QUADS + 2u * (lane % SIZE) + 1u] = b;
  }
  if (lane % SIZE == 0u) { ends[lane / SIZE][t] = vec2<f32>(all, top); }
}

// store_heads joins the teams, and stores heads from head on.
fn store_heads(token: u32, head: u32, split: u32, lane: u32) {
  let base = (token * (HEADS / QUERIES) + head / QUERIES) * EVERY;
  for (var r = 0u; r < ROUNDS; r++) { // unroll
    let i = min(lane + r * LANES, OUTS - 1u);
    let t = i / QUADS;
    var top = -1e30;
    for (var m = 0u; m < TEAMS; m++) { top = max(top, ends[m][t].y); } // unroll
    var all = 0.0;
    if (SINKS == 1u && split == 0u) {
      top = max(top, sinks[head + t]);
      all = exp(sinks[head + t] - top);
    }
    var out = vec4<f32>();
    for (var m = 0u; m < TEAMS; m++) { // unroll
      let share = exp(ends[m][t].y - top);
      all += ends[m][t].x * share;
      out += outs[m][i] * share;
    }
    let own = lane + r * LANES < OUTS;
    if (SPLITS == 1u) {
      store_quad(out / all, token, head, i, lane, own);
    } else if (own && JOIN == 1u) {
      let to = base + split * WORDS;
      for (var e = 0u; e < 4u; e++) { tell(to + e * OUTS + i, out[e]); } // unroll
      if (i % QUADS == 0u) {
        tell(to + SUMS + 2u * t, all);
        tell(to + SUMS + 2u * t + 1u, top);
      }
    } else if (own) {
      let part = (token * HEADS + head + t) * SPLITS * (DIM + 2u);
      store_four(part + split * DIM + 4u * (i % QUADS), out);
      if (i % QUADS == 0u) {
        next[part + SPLITS * DIM + 2u * split] = bitcast<u32>(all);
        next[part + SPLITS * DIM + 2u * split + 1u] = bitcast<u32>(top);
      }
    }
  }
  if (JOIN == 1u) { join_last(base, token, head, lane); }
}

// store_quad stores quad i of the heads from head on.
fn store_quad(out: vec4<f32>, token: u32, head: u32, i: u32, lane: u32, own: bool) {
  if (LIMBS == 1u) {
    hand_quad(out, token, (head * DIM + 4u * i) / 32u, i % 8u, own);
  } else if (LIMBS == 2u) {
    hand_chunk(out, token, head * QUADS + i, lane, own);
  } else if (own) {
    store_four(token * O_STRIDE + head * DIM + 4u * i, out);
  }
}

fn store_four(at: u32, out: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) { next[at + e] = bitcast<u32>(out[e]); } // unroll
}

// hand_quad stores a quad as limbs, quad j of a block, which eight threads have.
fn hand_quad(out: vec4<f32>, token: u32, block: u32, j: u32, own: bool) {
  let blocks = O_STRIDE / 32u;
  var most = max(max(abs(out.x), abs(out.y)), max(abs(out.z), abs(out.w)));
  for (var m = 1u; m < 8u; m *= 2u) { most = max(most, beside(most, m)); }
  let unit = limbs_unit(most);
  let whole = limbs_whole(out, select(1.0 / unit, 0.0, unit == 0.0));
  let words = limbs_pack(whole);
  var all = f32(whole.x + whole.y + whole.z + whole.w); // exact: below 2²⁴
  for (var m = 1u; m < 8u; m *= 2u) { all += beside(all, m); }
  if (!own) { return; }
  let to = token * (20u * blocks);
  let at = to + (j / 4u * blocks + block) * 4u + j % 4u;
  next[at] = words.x;
  next[at + 8u * blocks] = words.y;
  if (j > 0u) { return; }
  let head = to + (4u * blocks + block) * 4u;
  next[head] = bitcast<u32>(unit);
  next[head + 1u] = bitcast<u32>(i32(all));
  next[head + 2u] = 0u;
}
