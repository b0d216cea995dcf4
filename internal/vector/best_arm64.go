package vector

// Best returns NEON, which every processor of this architecture has.
func Best() Level { return NEON }

// VNNI reports whether the processor multiplies bytes in the way that assembly for amd64 wants.
func VNNI() bool { return false }
