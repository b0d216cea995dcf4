// window: the positions that a token sees.
const WINDOW: u32 = 1024u; // how many, itself included
const CHUNK: u32 = 0u;     // unless 0: only those in its own chunk of this length

// first returns the first position that the token at position p sees.
fn first(p: u32) -> u32 {
  var f = select(0u, p + 1u - WINDOW, p + 1u > WINDOW);
  if (CHUNK != 0u) { f = max(f, p - p % max(CHUNK, 1u)); }
  return f;
}
