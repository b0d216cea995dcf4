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

@group(0) @binding(0) var<storage, read> chosen: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

var<workgroup> counts: array<u32, EXPERTS>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let slots = step.n * TOP;
  for (var e = lane; e < EXPERTS; e += LANES) {
    var n = 0u;
    for (var s = 0u; s < slots; s++) { n += select(0u, 1u, chosen[s].x == e); }
    counts[e] = n;
  }
  for (var i = lane; i < MOST; i += LANES) { out[SLOTS + 4u * i + 2u] = 0u; }
  workgroupBarrier();
  storageBarrier();
  for (var e = lane; e < EXPERTS; e += LANES) {
    var at = 0u;
    var tile = 0u;
    for (var i = 0u; i < e; i++) {
      at += counts[i];
      tile += (counts[i] + TILE - 1u) / TILE;
    }
    for (var done = 0u; done < counts[e]; done += TILE) {
      let o = SLOTS + 4u * tile;
      out[o] = e;
      out[o + 1u] = at + done;
      out[o + 2u] = min(TILE, counts[e] - done);
      tile++;
    }
    for (var s = 0u; s < slots; s++) {
      if (chosen[s].x == e) {
        out[at] = s;
        at++;
      }
    }
  }
}
