// step: the rows of a pass.
struct Step {
  n: u32,     // tokens
  first: u32, // the first row
}
