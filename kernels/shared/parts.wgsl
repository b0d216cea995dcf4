// parts: the cached positions that a workgroup of attention attends to.

// Part is positions p0 … end−1 of a sequence whose slots begin at base, the first in slot start, for the token at position.
struct Part { base: u32, p0: u32, start: u32, end: u32, position: u32 }

// part_of returns part i of SPLITS.
fn part_of(row: vec4<u32>, kv: u32, i: u32) -> Part {
  let f = first(row.y);
  let each = (row.y - f + SPLITS) / SPLITS; // positions of a part
  let p0 = f + i * each;
  return Part((row.z * KV_HEADS + kv) * CAP, p0, p0 % CAP, min(p0 + each, row.y + 1u), row.y);
}

fn slot(part: Part, p: u32) -> u32 {
  let s = part.start + min(p, part.end - 1u) - part.p0; // of a ring: below 2·CAP, and what is negative is large
  return (part.base + min(s, s - CAP)) * OCTETS;
}

fn low(v: vec4<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y)); }

fn high(v: vec4<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(v.z), unpack2x16float(v.w)); }
