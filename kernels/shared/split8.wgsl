// split8: how matvec_int8 reads vectors: whole numbers of 16 bits in two limbs, with a unit for each chunk of columns; see split_int8.
const LIMIT8: f32 = 32639.0; // 127·256 + 127: both limbs stay within eight bits

// unit8 returns the unit of a chunk whose elements are at most this large, whole8 a quad of it as whole numbers.
fn unit8(most: f32) -> f32 { return select(most / LIMIT8, 0.0, most < 1e-30); }

fn whole8(four: vec4<f32>, unit: f32) -> vec4<i32> { return vec4<i32>(round(four * select(1.0 / unit, 0.0, unit == 0.0))); }

// words8 returns the words of hi and lo.
fn words8(whole: vec4<i32>) -> vec2<u32> {
  let hi = (whole + vec4<i32>(128)) >> vec4<u32>(8u);
  let high = bitcast<vec4<u32>>(hi) & vec4<u32>(255u);
  let low = bitcast<vec4<u32>>(whole) & vec4<u32>(255u);
  return vec2<u32>(high.x | (high.y << 8u) | (high.z << 16u) | (high.w << 24u), low.x | (low.y << 8u) | (low.z << 16u) | (low.w << 24u));
}

// place8 returns where the word of quad p of a stored row goes, of a limb of token t, where a thread reads run quads, and there are
// wide panels of 16 tokens or, if both is 1, one of eight.
fn place8(p: u32, t: u32, limb: u32, run: u32, wide: u32, both: u32) -> u32 {
  let q = p % run;
  let panel = (p / (4u * run) * wide + t / 16u) * (2u - both) + limb * (1u - both);
  return ((panel * (run / 4u) + q / 4u) * 64u + (t % 16u + 8u * both * limb) * 4u + p / run % 4u) * 4u + q % 4u;
}
