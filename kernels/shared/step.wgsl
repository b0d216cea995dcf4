// step: which rows a pass is about.
struct Step {
  n: u32,     // tokens
  first: u32, // the first row
}
