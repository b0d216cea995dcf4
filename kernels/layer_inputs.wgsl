// layer_inputs: y = SCALE·x/√(mean(x²)+EPS)·w + e, what each layer is given of a token beside the residual stream
//   x, e [t][STRIDE] f32: WIDTH elements for each layer   w [WIDTH] f32   y [t][LAYERS·Y_STRIDE] f32
//   one workgroup computes one layer's (x) elements of one token (y)
// with shared/sum.wgsl: sums, total
const WIDTH: u32 = 256u;
const STRIDE: u32 = 1024u;
const LAYERS: u32 = 4u;
const Y_STRIDE: u32 = 256u;
const SCALE: f32 = 1.0;
const EPS: f32 = 0.00001;
const LANES: u32 = 64u;    // a power of two

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> e: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let in = group.y * STRIDE + group.x * WIDTH;
  let out = (group.y * LAYERS + group.x) * Y_STRIDE;
  var part = 0.0;
  for (var k = lane; k < WIDTH; k += LANES) { part += x[in + k] * x[in + k]; }
  let scale = SCALE / sqrt(total(lane, part) / f32(WIDTH) + EPS);
  for (var k = lane; k < WIDTH; k += LANES) { y[out + k] = x[in + k] * scale * w[k] + e[in + k]; }
}
