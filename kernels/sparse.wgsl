// sparse: gates become max(0, g − mean − CUTOFF·deviation), over all gates of a token
//   x [t][STRIDE] f32, whose gates are its first WIDTH elements or, if STEP is 2, every second one   one workgroup computes one token
// with shared/sum.wgsl: sums, total
const WIDTH: u32 = 768u;
const STRIDE: u32 = 1536u;
const STEP: u32 = 1u;
const CUTOFF: f32 = 1.0;
const LANES: u32 = 128u;   // a power of two

@group(0) @binding(0) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = group.x * STRIDE;
  var part = 0.0;
  for (var k = lane; k < WIDTH; k += LANES) { part += x[at + k * STEP]; }
  let mean = total(lane, part) / f32(WIDTH);
  workgroupBarrier();
  part = 0.0;
  for (var k = lane; k < WIDTH; k += LANES) {
    let d = x[at + k * STEP] - mean;
    part += d * d;
  }
  let bound = mean + CUTOFF * sqrt(total(lane, part) / f32(WIDTH));
  for (var k = lane; k < WIDTH; k += LANES) { x[at + k * STEP] = max(0.0, x[at + k * STEP] - bound); }
}
