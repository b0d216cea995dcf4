// copy: y = x, to measure memory bandwidth.
//   x, y [threads·EACH] vec4<u32>; workgroup x + 65535·y
const EACH: u32 = 4u; // vectors per thread
const LANES: u32 = 256u;

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = (group.x + 65535u * group.y) * LANES * EACH + lane;
  var held: array<vec4<u32>, EACH>;
  for (var i = 0u; i < EACH; i++) { held[i] = x[first + i * LANES]; } // unroll
  for (var i = 0u; i < EACH; i++) { y[first + i * LANES] = held[i]; } // unroll
}
