// eights: how vectors of halves come into panels of 16 tokens and 16 elements, eight elements from each thread.
// inside returns which of 16 elements is at a place of a panel: pair k of two threads' eights is pair 2k + the thread, so that
// threads write to different banks.
fn inside(place: u32) -> u32 { return place / 2u % 2u * 8u + place / 4u * 2u + place % 2u; }

// source returns where the e-th eight elements of 16 tokens from t on are: [hi, lo][panel][token][eight].
fn source(e: u32, panels: u32, t: u32, first: u32, stride: u32) -> u32 {
  let limb = e / (32u * panels);
  return (2u * (t + e / 2u % 16u) + limb) * (stride / 8u) + first / 8u + e / 32u % panels * 2u + e % 2u;
}
