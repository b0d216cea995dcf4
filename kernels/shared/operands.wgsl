// operands: what every matvec kernel binds besides its weights w, which are binding 0, of a type that the kernel chooses.
@group(0) @binding(1) var<storage, read> h: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<f32>; // if NEXT
@group(0) @binding(4) var<storage, read> b: array<f32>; // if BIAS
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>; // if NEXT
@group(0) @binding(7) var<uniform> shape: Shape;
