// hand_on: stores elements that a workgroup has made as limbs; eight threads make a block.
var<workgroup> kept: array<vec4<f32>, OUT_QUADS>;   // the elements
var<workgroup> behind: array<vec4<f32>, OUT_QUADS>; // their squares, as a norm wants them

// keep takes element i.
fn keep(i: u32, v: f32, squared: f32) {
  kept[i / 4u][i % 4u] = v;
  behind[i / 4u][i % 4u] = squared;
}

// hand_on stores what is kept of several tokens, quads for each, from a block of its vector on; to is the first token.
fn hand_on(tokens: u32, quads: u32, to: u32, block: u32, blocks: u32, lane: u32) {
  for (var i = lane; i < tokens * quads; i += LANES) {
    let at = block + i % quads / 8u;
    if (at < blocks) { hand_quad(i, (to + i / quads) * (20u * blocks), at, blocks); }
  }
}

// hand_quad stores quad i, which lies in this block of the vector whose limbs begin at next[to], in planes of this number of blocks.
fn hand_quad(i: u32, to: u32, block: u32, blocks: u32) {
  let j = i % 8u;
  let first = i - j;
  var most = vec4<f32>();
  for (var k = 0u; k < 8u; k++) { most = max(most, abs(kept[first + k])); } // unroll
  let unit = limbs_unit(max(max(most.x, most.y), max(most.z, most.w)));
  let inverse = select(1.0 / unit, 0.0, unit == 0.0);
  let words = limbs_pack(limbs_whole(kept[i], inverse));
  let at = to + (j / 4u * blocks + block) * 4u + j % 4u;
  next[at] = words.x;
  next[at + 8u * blocks] = words.y;
  if (j > 0u) { return; }
  var all = vec4<i32>();
  var squared = vec4<f32>();
  for (var k = 0u; k < 8u; k++) { // unroll
    all += limbs_whole(kept[first + k], inverse);
    squared += behind[first + k];
  }
  let head = to + (4u * blocks + block) * 4u;
  next[head] = bitcast<u32>(unit);
  next[head + 1u] = bitcast<u32>(all.x + all.y + all.z + all.w);
  next[head + 2u] = bitcast<u32>(squared.x + squared.y + squared.z + squared.w);
}
