#include "textflag.h"
#include "integers_amd64.h"

// Products of packed rows with one vector of integers, four rows at a time, which are R9 bytes apart from DI on.
// integers.go says how the vector lies and what is computed. All products have the same arguments:
//
//	y *float32      [quads][4]
//	w *byte, stride rows, stride bytes apart
//	x *byte         the vector
//	quads           of rows
//	groups          of blocks of a row
//	more            registers in a group of one block; single blocks behind groups of several
//	ahead           how many bytes before their use rows are prefetched
//
// Z0 to Z3 are the rows' sums, Z4 to Z15 those of a group: three for each row, by limb. Z16 to Z19 are scales, Z20 to
// Z27 codes, two registers for each row.

DATA ·nibbles<>+0(SB)/4, $0x0f0f0f0f
GLOBL ·nibbles<>(SB), RODATA|NOPTR, $4

DATA ·pairs<>+0(SB)/4, $0x03030303
GLOBL ·pairs<>(SB), RODATA|NOPTR, $4

DATA ·signs<>+0(SB)/4, $0x80808080
GLOBL ·signs<>(SB), RODATA|NOPTR, $4

DATA ·bias<>+0(SB)/4, $128
GLOBL ·bias<>(SB), RODATA|NOPTR, $4

// BIAS does nothing to zero-points of codes that count from 0.
#define BIAS(a)

// func integers4x1(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers4x1(SB), NOSPLIT, $0-64
	PREPARE
	VPBROADCASTD ·nibbles<>(SB), Z30

integers4x1Quad:
	QUAD

integers4x1Group:
	HEADS1
	BEGINS
	PREFETCHT0 (R13)
	ONWARD(3)
	MOVQ more+48(FP), CX

integers4x1Register:
	CODES1
	NIBBLES
	FETCH(0)
	FETCH(128)
	ONWARD(64)
	DECQ CX
	JNZ  integers4x1Register
	TAKES
	DECQ AX
	JNZ  integers4x1Group
	PUT
	JNZ  integers4x1Quad
	VZEROUPPER
	RET

// func integers2x1(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers2x1(SB), NOSPLIT, $0-64
	PREPARE
	VPBROADCASTD ·pairs<>(SB), Z30

integers2x1Quad:
	QUAD

integers2x1Group:
	HEADS1
	BEGINS
	PREFETCHT0 (R13)
	ONWARD(3)
	MOVQ more+48(FP), CX

integers2x1Register:
	CODES1
	PAIRS
	FETCH(0)
	FETCH(128)
	ONWARD(64)
	DECQ CX
	JNZ  integers2x1Register
	TAKES
	DECQ AX
	JNZ  integers2x1Group
	PUT
	JNZ  integers2x1Quad
	VZEROUPPER
	RET

// func integers4x2(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers4x2(SB), NOSPLIT, $0-64
	PREPARE
	HALVES
	VPBROADCASTD ·nibbles<>(SB), Z30

integers4x2Quad:
	QUAD
	TESTQ AX, AX
	JZ    integers4x2Singles

integers4x2Group:
	HEADS2
	BEGINS
	CODES2
	NIBBLES
	TAKES
	FETCH(0)
	FETCH(128)
	PREFETCHT0 256(R13)
	ONWARD(70)
	DECQ AX
	JNZ  integers4x2Group

integers4x2Singles:
	MOVQ  more+48(FP), CX
	TESTQ CX, CX
	JZ    integers4x2Put

integers4x2Single:
	HEADS1
	BEGINS
	HALF
	NIBBLES
	TAKES
	FETCH(0)
	PREFETCHT0 128(R13)
	ONWARD(35)
	DECQ CX
	JNZ  integers4x2Single

integers4x2Put:
	PUT
	JNZ integers4x2Quad
	VZEROUPPER
	RET

// func integers2x2(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers2x2(SB), NOSPLIT, $0-64
	PREPARE
	HALVES
	VPBROADCASTD ·pairs<>(SB), Z30

integers2x2Quad:
	QUAD
	TESTQ AX, AX
	JZ    integers2x2Singles

integers2x2Group:
	HEADS2
	BEGINS
	CODES2
	PAIRS
	TAKES
	FETCH(0)
	FETCH(128)
	PREFETCHT0 256(R13)
	ONWARD(70)
	DECQ AX
	JNZ  integers2x2Group

integers2x2Singles:
	MOVQ  more+48(FP), CX
	TESTQ CX, CX
	JZ    integers2x2Put

integers2x2Single:
	HEADS1
	BEGINS
	HALF
	PAIRS
	TAKES
	FETCH(0)
	PREFETCHT0 128(R13)
	ONWARD(35)
	DECQ CX
	JNZ  integers2x2Single

integers2x2Put:
	PUT
	JNZ integers2x2Quad
	VZEROUPPER
	RET

// func integers4x4(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers4x4(SB), NOSPLIT, $0-64
	PREPARE
	QUARTERS
	VPBROADCASTD ·nibbles<>(SB), Z30

integers4x4Quad:
	QUAD
	TESTQ AX, AX
	JZ    integers4x4Singles

integers4x4Group:
	HEADS4
	BEGINS
	CODES4
	NIBBLES
	TAKES
	FETCH(0)
	FETCH(128)
	PREFETCHT0 256(R13)
	ONWARD(76)
	DECQ AX
	JNZ  integers4x4Group

integers4x4Singles:
	MOVQ  more+48(FP), CX
	TESTQ CX, CX
	JZ    integers4x4Put

integers4x4Single:
	HEADS1
	BEGINS
	QUARTER
	NIBBLES
	TAKES
	FETCH(0)
	ONWARD(19)
	DECQ CX
	JNZ  integers4x4Single

integers4x4Put:
	PUT
	JNZ integers4x4Quad
	VZEROUPPER
	RET

// func integers2x4(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers2x4(SB), NOSPLIT, $0-64
	PREPARE
	QUARTERS
	VPBROADCASTD ·pairs<>(SB), Z30

integers2x4Quad:
	QUAD
	TESTQ AX, AX
	JZ    integers2x4Singles

integers2x4Group:
	HEADS4
	BEGINS
	CODES4
	PAIRS
	TAKES
	FETCH(0)
	FETCH(128)
	PREFETCHT0 256(R13)
	ONWARD(76)
	DECQ AX
	JNZ  integers2x4Group

integers2x4Singles:
	MOVQ  more+48(FP), CX
	TESTQ CX, CX
	JZ    integers2x4Put

integers2x4Single:
	HEADS1
	BEGINS
	QUARTER
	PAIRS
	TAKES
	FETCH(0)
	ONWARD(19)
	DECQ CX
	JNZ  integers2x4Single

integers2x4Put:
	PUT
	JNZ integers2x4Quad
	VZEROUPPER
	RET

// Codes of eight bits count from −128: as unsigned bytes they are 128 larger, and so must be their zero-point.
#undef BIAS
#define BIAS(a) VPADDD Z29, a, a;

// func integers8x1(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers8x1(SB), NOSPLIT, $0-64
	PREPARE
	VPBROADCASTD ·signs<>(SB), Z30
	VPBROADCASTD ·bias<>(SB), Z29

integers8x1Quad:
	QUAD

integers8x1Group:
	HEADS1
	BEGINS
	PREFETCHT0 (R13)
	ONWARD(3)
	MOVQ more+48(FP), CX

integers8x1Register:
	CODES1
	BYTES
	FETCH(0)
	FETCH(128)
	ONWARD(64)
	DECQ CX
	JNZ  integers8x1Register
	TAKES
	DECQ AX
	JNZ  integers8x1Group
	PUT
	JNZ  integers8x1Quad
	VZEROUPPER
	RET

// func integers8x2(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
TEXT ·integers8x2(SB), NOSPLIT, $0-64
	PREPARE
	HALVES
	VPBROADCASTD ·signs<>(SB), Z30
	VPBROADCASTD ·bias<>(SB), Z29

integers8x2Quad:
	QUAD
	TESTQ AX, AX
	JZ    integers8x2Singles

integers8x2Group:
	HEADS2
	BEGINS
	CODES2
	BYTES
	TAKES
	FETCH(0)
	FETCH(128)
	PREFETCHT0 256(R13)
	ONWARD(70)
	DECQ AX
	JNZ  integers8x2Group

integers8x2Singles:
	MOVQ  more+48(FP), CX
	TESTQ CX, CX
	JZ    integers8x2Put

integers8x2Single:
	HEADS1
	BEGINS
	HALF
	BYTES
	TAKES
	FETCH(0)
	PREFETCHT0 128(R13)
	ONWARD(35)
	DECQ CX
	JNZ  integers8x2Single

integers8x2Put:
	PUT
	JNZ integers8x2Quad
	VZEROUPPER
	RET
