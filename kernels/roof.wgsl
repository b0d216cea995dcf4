// roof: only fused multiply-adds, to measure arithmetic throughput.
//   y [threads] f32: each becomes the sum of 32 chains v = v·0.999 + s, of ROUNDS steps, with s = y, ¼, ½, ¾
//   and v = s + 0 … 7 at first. A thread performs ROUNDS·64 float32 operations.
const ROUNDS: u32 = 256u;
const LANES: u32 = 256u;

@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let s = vec4<f32>(y[id.x], 0.25, 0.5, 0.75);
  let fade = vec4<f32>(0.999);
  var a = s;
  var b = s + 1.0;
  var c = s + 2.0;
  var d = s + 3.0;
  var e = s + 4.0;
  var f = s + 5.0;
  var g = s + 6.0;
  var h = s + 7.0;
  for (var r = 0u; r < ROUNDS; r++) {
    a = fma(a, fade, s);
    b = fma(b, fade, s);
    c = fma(c, fade, s);
    d = fma(d, fade, s);
    e = fma(e, fade, s);
    f = fma(f, fade, s);
    g = fma(g, fade, s);
    h = fma(h, fade, s);
  }
  y[id.x] = dot(a + b + c + d + (e + f + g + h), vec4<f32>(1.0));
}
