// run: successive tokens of one sequence in a pass, of which a state is carried from one to the next.

// begins reports whether a run begins with token t.
fn begins(t: u32) -> bool {
  if (t == 0u) { return true; }
  return rows[t].z != rows[t - 1u].z;
}
