// shift: moves cached keys or values to earlier positions: of rows.w positions, rows.z after the first rows.y are dropped.
// The slots that take part are a run, whose first `left` are to come behind the others: launched with PARTS, it reverses
// these and the others, and then, without, the whole run, with keys rotated back by rows.z positions.
//   rows (sequence, kept positions, dropped positions, all positions)   angles as in rope
//   c [sequence][KV_HEADS][CAP][DIM/2] u32 pairs of float16 (KV_BITS = 16), [DIM] f32 (32): keys or values
//   one workgroup exchanges two slots of one head: pair y·FOLD + x/KV_HEADS of head x mod KV_HEADS
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;        // of a head, even
const CAP: u32 = 1024u;      // positions in the cache; position p is in slot p mod CAP
const KV_BITS: u32 = 16u;
const FOLD: u32 = 1u;
const PARTS: u32 = 0u;       // 1: the two parts are reversed, 0: the whole run
const ROT: u32 = 64u;        // rotated elements, 0: none …
const ROT_AT: u32 = 0u;      // … of which this is the first
const INTERLEAVED: u32 = 0u; // as in rope
const LANES: u32 = 64u;

const WORDS: u32 = DIM * KV_BITS / 32u;

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<u32>;

var<workgroup> pair: array<array<f32, DIM>, 2>; // the keys of two slots

// turn returns cos and sin of the angle of a position, without what scales them, for rotated elements j.
fn turn(position: u32, j: u32) -> vec2<f32> {
  let half = max(ROT / 2u, 1u);
  let fine = angles[position % 256u * half + j];
  let coarse = angles[(256u + position / 256u) * half + j];
  let t = vec2<f32>(coarse.x * fine.x - coarse.y * fine.y, coarse.y * fine.x + coarse.x * fine.y);
  return t / sqrt(dot(t, t));
}

// turned returns element e of a key of the pair, by so many positions back.
fn turned(which: u32, e: u32, back: u32) -> f32 {
  if (e < ROT_AT || e >= ROT_AT + ROT) { return pair[which][e]; }
  let half = max(ROT / 2u, 1u);
  let r = e - ROT_AT;
  let j = select(r % half, r / 2u, INTERLEAVED == 1u);
  let first = select(r < half, r % 2u == 0u, INTERLEAVED == 1u);
  let span = select(half, 1u, INTERLEAVED == 1u);
  let t = turn(back, j);
  if (first) { return pair[which][e] * t.x + pair[which][e + span] * t.y; }
  return pair[which][e] * t.x - pair[which][e - span] * t.y;
}

fn take(which: u32, at: u32, lane: u32) {
  for (var i = lane; i < WORDS; i += LANES) {
    if (KV_BITS == 16u) {
      let v = unpack2x16float(c[at + i]);
      pair[which][2u * i] = v.x;
      pair[which][2u * i + 1u] = v.y;
    } else {
      pair[which][i] = bitcast<f32>(c[at + i]);
    }
  }
}

fn give(which: u32, at: u32, back: u32, lane: u32) {
  for (var i = lane; i < WORDS; i += LANES) {
    if (KV_BITS == 16u) {
      c[at + i] = pack2x16float(vec2<f32>(turned(which, 2u * i, back), turned(which, 2u * i + 1u, back)));
    } else {
      c[at + i] = bitcast<u32>(turned(which, i, back));
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let wraps = rows[0].w > CAP; // all slots are in use
  let run = select(rows[0].y, 0u, wraps);
  let length = select(rows[0].w - rows[0].y, CAP, wraps);
  let left = select(rows[0].z, rows[0].z % CAP, wraps);
  var i = group.y * FOLD + group.x / KV_HEADS;
  var begin = 0u;
  var end = length;
  if (PARTS == 1u) {
    end = left;
    if (i >= left / 2u) {
      i -= left / 2u;
      begin = left;
      end = length;
    }
  }
  if (2u * i >= end - begin) { return; }
  let base = (rows[0].x * KV_HEADS + group.x % KV_HEADS) * CAP + run;
  let low = (base + begin + i) * WORDS;
  let high = (base + end - 1u - i) * WORDS;
  if (ROT == 0u) {
    for (var k = lane; k < WORDS; k += LANES) {
      let word = c[low + k];
      c[low + k] = c[high + k];
      c[high + k] = word;
    }
    return;
  }
  take(0u, low, lane);
  take(1u, high, lane);
  workgroupBarrier();
  give(0u, high, rows[0].z, lane);
  if (low != high) { give(1u, low, rows[0].z, lane); }
}
