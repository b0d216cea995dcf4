package vector

// Best returns NEON, which every processor of this architecture has.
func Best() Level { return NEON }
