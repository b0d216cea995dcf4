// shuffles: shared/shuffles.wgsl for devices without subgroups, or with smaller ones: by workgroup memory. All threads of a
// workgroup take part.
var<workgroup> shuffled: array<vec4<f32>, LANES>;
var<private> shuffle_lane: u32;

fn four_of(v: vec4<f32>, lane: u32) -> vec4<f32> {
  workgroupBarrier();
  shuffled[shuffle_lane] = v;
  workgroupBarrier();
  return shuffled[lane];
}

fn beside(v: f32, bits: u32) -> f32 { return four_of(vec4<f32>(v), shuffle_lane ^ bits).x; }

fn four_beside(v: vec4<f32>, bits: u32) -> vec4<f32> { return four_of(v, shuffle_lane ^ bits); }

fn of_thread(v: f32, thread: u32) -> f32 { return four_of(vec4<f32>(v), shuffle_lane / SIZE * SIZE + thread).x; }

fn for_any(v: bool) -> bool { return true; }
