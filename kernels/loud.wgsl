// loud: vectors p of a token, scaled to the RMS of x, which is at least √LEAST
//   CLOSE = 0: p is overwritten   CLOSE = 1: x becomes the mean of x and all of them
//   x [t][STRIDE] f32   p [t][COUNT−1][STRIDE] f32   one workgroup computes one token
// with shared/sum.wgsl: sums, total
const WIDTH: u32 = 256u;
const STRIDE: u32 = 256u;
const COUNT: u32 = 4u;
const CLOSE: u32 = 0u;
const LEAST: f32 = 0.00001;
const LANES: u32 = 128u;   // a power of two

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = group.x * STRIDE;
  let beside = group.x * (COUNT - 1u) * STRIDE;
  var part = 0.0;
  for (var k = lane; k < WIDTH; k += LANES) { part += x[at + k] * x[at + k]; }
  let own = total(lane, part) / f32(WIDTH);
  for (var a = 0u; a < COUNT - 1u; a++) {
    workgroupBarrier();
    part = 0.0;
    for (var k = lane; k < WIDTH; k += LANES) {
      let v = p[beside + a * STRIDE + k];
      part += v * v;
    }
    let scale = sqrt(own / max(total(lane, part) / f32(WIDTH), LEAST));
    for (var k = lane; k < WIDTH; k += LANES) {
      let v = scale * p[beside + a * STRIDE + k];
      if (CLOSE == 1u) { x[at + k] += v; } else { p[beside + a * STRIDE + k] = v; }
    }
  }
  if (CLOSE == 0u) { return; }
  for (var k = lane; k < WIDTH; k += LANES) { x[at + k] /= f32(COUNT); }
}
