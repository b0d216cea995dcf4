// positions: the loop of attention of a token over cached positions, for QUERIES heads that share keys. Threads that share a
// position hold eight elements each; positions are read side by side, and a step ahead. Kernels say by query_at, key_at and
// value_at where these lie, and by new_key and new_value what takes the place of what is not in the cache yet.
const OCTETS: u32 = DIM / 8u;       // vec4<u32> of a key or value, one per thread
const SIDE: u32 = LANES / OCTETS;   // keys that are read side by side
const STEP: u32 = SIDE * EACH;      // positions
const PAD: u32 = OCTETS | 1u;       // so that threads of neighboring positions read different banks
const SCORES: u32 = QUERIES * STEP;
const TERMS: u32 = SCORES * PAD;
const WEIGHTS: u32 = QUERIES * EACH;
const ACC: u32 = QUERIES * 2u;

var<workgroup> terms: array<f32, TERMS>;   // of the scores: [query][position][octet]
var<workgroup> scores: array<f32, SCORES>; // [query][position]

var<private> keys: array<vec4<u32>, EACH>; // of the step
var<private> values: array<vec4<u32>, EACH>;

fn read_keys(part: Part, p: u32, octet: u32) {
  for (var i = 0u; i < EACH; i++) { keys[i] = key_at(slot(part, p + i * SIDE) + octet); } // unroll
}

fn read_values(part: Part, p: u32, octet: u32) {
  for (var i = 0u; i < EACH; i++) { values[i] = value_at(slot(part, p + i * SIDE) + octet); } // unroll
}

// attend attends to a part, whose first step was read, and stores the results of heads from head on.
fn attend(part: Part, head: u32, token: u32, split: u32, lane: u32) {
  let octet = lane % OCTETS;
  let side = min(lane / OCTETS, SIDE - 1u);
  let counts = lane < SIDE * OCTETS;
  var query: array<vec4<f32>, ACC>; // this octet of each query
  for (var t = 0u; t < ACC; t++) { query[t] = query_at(token, head + t / 2u, t / 2u, 2u * octet + t % 2u); } // unroll
  var acc: array<vec4<f32>, ACC>; // Σ exp(s−best)·v over this side's positions
  var sum: array<f32, QUERIES>;
  var best: array<f32, QUERIES>;
  var weights: array<f32, WEIGHTS>; // [query][position of this side]
  for (var t = 0u; t < QUERIES; t++) { best[t] = -1e30; } // unroll
  for (var p = part.p0; p < part.end; p += STEP) {
    let more = p + STEP < part.end;
    for (var i = 0u; i < EACH; i++) { // unroll
      let here = p + i * SIDE + side;
      if (VALUE < DIM) { values[i] = keys[i]; } else { values[i] = new_value(values[i], here, part.position, octet); }
      let key = new_key(keys[i], here, part.position, octet);
      let a = low(key);
      let b = high(key);
      for (var t = 0u; t < QUERIES; t++) { // unroll
        let term = dot(query[2u * t], a) + dot(query[2u * t + 1u], b);
        if (counts) { terms[(t * STEP + i * SIDE + side) * PAD + octet] = term; }
      }
    }
    if (more) { read_keys(part, p + STEP + side, octet); }
    workgroupBarrier();
    for (var s = lane; s < SCORES; s += LANES) {
      var score = 0.0;
      for (var i = 0u; i < OCTETS; i++) { score += terms[s * PAD + i]; } // unroll
      scores[s] = select(-1e30, scored(score, head + s / STEP, part.position - (p + s % STEP)), p + s % STEP < part.end);
    }
    workgroupBarrier();
    for (var t = 0u; t < QUERIES; t++) { // unroll
      var top = best[t];
      for (var i = 0u; i < EACH; i++) { // unroll
        weights[t * EACH + i] = scores[t * STEP + i * SIDE + side];
        top = max(top, weights[t * EACH + i]);
      }
      let fade = exp(best[t] - top);
      best[t] = top;
      sum[t] *= fade;
      acc[2u * t] *= fade;
      acc[2u * t + 1u] *= fade;
      for (var i = 0u; i < EACH; i++) { // unroll
        weights[t * EACH + i] = exp(weights[t * EACH + i] - top);
        sum[t] += weights[t * EACH + i];
      }
    }
    for (var i = 0u; i < EACH; i++) { // unroll
      let a = low(values[i]);
      let b = high(values[i]);
      for (var t = 0u; t < QUERIES; t++) { // unroll
        acc[2u * t] += weights[t * EACH + i] * a;
        acc[2u * t + 1u] += weights[t * EACH + i] * b;
      }
    }
    if (more && VALUE == DIM) { read_values(part, p + STEP + side, octet); }
  }
  for (var t = 0u; t < QUERIES; t++) { // unroll
    if (counts) { side_by_side(lane, acc[2u * t], acc[2u * t + 1u], vec2<f32>(sum[t], best[t])); }
    workgroupBarrier();
    add_sides(head + t, token, split, lane);
    workgroupBarrier();
    if (LIMBS == 1u) { hand_on(1u, VALUE / 4u, token, (head + t) * VALUE / 32u, O_STRIDE / 32u, lane); }
  }
}
