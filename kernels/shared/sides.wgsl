// sides: what attention over positions ends with: sums of the sides of a workgroup, which are added up and stored as results, or as
// a part for attention_join.
const OUT: u32 = SIDE * DIM;
const OUT_QUADS: u32 = LIMBS * VALUE / 4u + 1u;

var<workgroup> outs: array<f32, OUT>;      // [side][DIM]
var<workgroup> sides: array<vec2<f32>, SIDE>; // per side: Σ exp(s−best), best

// side_by_side takes this thread's sums of a head.
fn side_by_side(lane: u32, low: vec4<f32>, high: vec4<f32>, ends: vec2<f32>) {
  let at = lane / OCTETS * DIM + 8u * (lane % OCTETS);
  for (var i = 0u; i < 4u; i++) { // unroll
    outs[at + i] = low[i];
    outs[at + 4u + i] = high[i];
  }
  if (lane % OCTETS == 0u) { sides[lane / OCTETS] = ends; }
}

// add_sides adds up what the sides of a head have, and stores it.
fn add_sides(head: u32, token: u32, split: u32, lane: u32) {
  var top = sides[0].y;
  for (var s = 1u; s < SIDE; s++) { top = max(top, sides[s].y); }
  var none = 0.0; // what the sink adds to the sum, in the first part
  if (SINKS == 1u && split == 0u) {
    top = max(top, sink(head));
    none = exp(sink(head) - top);
  }
  var all = none;
  let to = (token * HEADS + head) * SPLITS * (VALUE + 2u);
  for (var d = lane; d < VALUE; d += LANES) {
    var out = 0.0;
    all = none;
    for (var s = 0u; s < SIDE; s++) {
      let share = exp(sides[s].y - top);
      out += outs[s * DIM + d] * share;
      all += sides[s].x * share;
    }
    if (SPLITS == 1u) { o[token * O_STRIDE + head * VALUE + d] = out / all; } else { o[to + split * VALUE + d] = out; }
    if (LIMBS == 1u) { keep(d, out / all, 0.0); }
  }
  if (SPLITS > 1u && lane == 0u) {
    o[to + SPLITS * VALUE + 2u * split] = all;
    o[to + SPLITS * VALUE + 2u * split + 1u] = top;
  }
}
