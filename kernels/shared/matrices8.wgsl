// matrices8: subgroup matrices of int8, four in a word, which add up in int32, for 16 tokens or, with BOTH, eight. Offsets and pitches of loads count words.
alias Left = subgroup_matrix_left<i8, 32, 16>;
alias Right = subgroup_matrix_right<i8, 16u - 8u * BOTH, 32>;
alias Sums = subgroup_matrix_result<i32, 16u - 8u * BOTH, 16>;

fn multiplied(a: Left, b: Right, sums: Sums) -> Sums { return subgroupMatrixMultiplyAccumulate(a, b, sums); }

fn raised(sums: Sums) -> Sums { return subgroupMatrixScalarMultiply(sums, 256i); }
