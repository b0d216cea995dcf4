// operands8: what kernels of a few tokens by subgroup matrices of int8 bind.
@group(0) @binding(0) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> h: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> limbs: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> units: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> squares: array<vec4<f32>>; // if SQUARES
@group(0) @binding(5) var<storage, read> b: array<f32>; // if BIAS
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<uniform> shape: Shape;
@group(0) @binding(8) var<uniform> step: Step;
