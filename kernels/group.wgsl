// group: sorts the choices of all tokens by expert, and cuts each expert's into tiles.
//   chosen [n·TOP] (expert, weight)   a choice's slot is its index there
//   out: the slots by expert [n·TOP] u32, then from word SLOTS on tiles (expert, first, count, 0), the
//   last ones with count 0   launched as one workgroup; each lane takes whole experts
// with shared/step.wgsl: Step
const EXPERTS: u32 = 8u;
const TOP: u32 = 2u;
const TILE: u32 = 64u;
const SLOTS: u32 = 512u;  // choices of the largest pass; tiles begin at this word
const LANES: u32 = 256u;

const MOST: u32 = SLOTS / TILE + EXPERTS; // tiles
const CHUNK: u32 = 4u * LANES;            // choices that all threads read at a time

@group(0) @binding(0) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

var<workgroup> counts: array<u32, EXPERTS>;
var<workgroup> places: array<u32, EXPERTS>; // where the next slot of an expert goes
var<workgroup> experts: array<u32, CHUNK>;  // of the choices from one on

// load has all threads read which experts the choices from one on are of; those past the last are of none.
fn load(begin: u32, slots: u32, lane: u32) {
  workgroupBarrier();
  for (var i = lane; i < CHUNK; i += LANES) {
    experts[i] = select(EXPERTS, chosen[min(begin + i, slots - 1u)].x, begin + i < slots);
  }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let slots = step.n * TOP;
  for (var e = lane; e < EXPERTS; e += LANES) { counts[e] = 0u; }
  for (var i = lane; i < MOST; i += LANES) { out[SLOTS + 4u * i + 2u] = 0u; }
  for (var begin = 0u; begin < slots; begin += CHUNK) {
    load(begin, slots, lane);
    for (var e = lane; e < EXPERTS; e += LANES) {
      var n = 0u;
      for (var i = 0u; i < CHUNK; i += 4u) {
        n += u32(experts[i] == e) + u32(experts[i + 1u] == e) + u32(experts[i + 2u] == e) + u32(experts[i + 3u] == e);
      }
      counts[e] += n;
    }
  }
  workgroupBarrier();
  storageBarrier();
  for (var e = lane; e < EXPERTS; e += LANES) {
    var at = 0u;
    var tile = 0u;
    for (var i = 0u; i < e; i++) {
      at += counts[i];
      tile += (counts[i] + TILE - 1u) / TILE;
    }
    places[e] = at;
    for (var done = 0u; done < counts[e]; done += TILE) {
      let o = SLOTS + 4u * tile;
      out[o] = e;
      out[o + 1u] = at + done;
      out[o + 2u] = min(TILE, counts[e] - done);
      tile++;
    }
  }
  for (var begin = 0u; begin < slots; begin += CHUNK) {
    load(begin, slots, lane);
    for (var e = lane; e < EXPERTS; e += LANES) {
      var at = places[e];
      for (var i = 0u; i < CHUNK; i++) {
        if (experts[i] == e) {
          out[at] = begin + i;
          at++;
        }
      }
      places[e] = at;
    }
  }
}
