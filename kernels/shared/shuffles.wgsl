// shuffles: what threads of a subgroup tell each other.

// beside returns what the thread has whose number differs from this one's by these bits.
fn beside(v: f32, bits: u32) -> f32 { return subgroupShuffleXor(v, bits); }

fn four_beside(v: vec4<f32>, bits: u32) -> vec4<f32> { return subgroupShuffleXor(v, bits); }

// of_thread returns what a thread of the subgroup has.
fn of_thread(v: f32, thread: u32) -> f32 { return subgroupShuffle(v, thread); }

// for_any reports whether any thread says so.
fn for_any(v: bool) -> bool { return subgroupAny(v); }
