#include "textflag.h"

// Tiles of 6 (AVX-512) or 3 (AVX2) rows of x by 4 rows of w. Accumulator 4·t+r gathers the products of
// row t and row r lane by lane; SUM4 adds the lanes of the four accumulators of a row of x.

// SUM4 adds up the lanes of a, b, c, d of 256 bits and stores, or adds, the four sums at DX.
#define SUM4(a, b, c, d, xa, xb) \
	VHADDPS      b, a, a;      \
	VHADDPS      d, c, c;      \
	VHADDPS      c, a, a;      \
	VEXTRACTF128 $1, a, xb;    \
	VADDPS       xb, xa, xa

// HALVE adds the upper half of z to its lower half y, HALVE4 does so for the sums of a row of x.
#define HALVE(z, y) \
	VEXTRACTF64X4 $1, z, Y31; \
	VADDPS        Y31, y, y

#define HALVE4(z0, y0, z1, y1, z2, y2, z3, y3) \
	HALVE(z0, y0); \
	HALVE(z1, y1); \
	HALVE(z2, y2); \
	HALVE(z3, y3)

// ROW512 adds the products of the row of x in x with the four rows of w in Z24 to Z27.
#define ROW512(x, a, b, c, d) \
	VFMADD231PS Z24, x, a; \
	VFMADD231PS Z25, x, b; \
	VFMADD231PS Z26, x, c; \
	VFMADD231PS Z27, x, d

// PUT stores xa at DX, after adding what is there if R12 is set, and goes on to the next row.
#define PUT(xa) \
	TESTQ   R12, R12;    \
	JZ      2(PC);       \
	VADDPS  (DX), xa, xa; \
	VMOVUPS xa, (DX);    \
	ADDQ    BX, DX

// func tileAVX512(c *float32, cs int, x *float32, xs int, w *float32, ws int, n, add int)
TEXT ·tileAVX512(SB), NOSPLIT, $0-64
	MOVQ c+0(FP), DX
	MOVQ cs+8(FP), BX
	MOVQ x+16(FP), SI
	MOVQ xs+24(FP), R8
	MOVQ w+32(FP), DI
	MOVQ ws+40(FP), R9
	MOVQ n+48(FP), CX
	MOVQ add+56(FP), R12
	LEAQ (R9)(R9*2), R11
	LEAQ (R8)(R8*2), R10
	ADDQ SI, R10
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	VPXORD Z8, Z8, Z8
	VPXORD Z9, Z9, Z9
	VPXORD Z10, Z10, Z10
	VPXORD Z11, Z11, Z11
	VPXORD Z12, Z12, Z12
	VPXORD Z13, Z13, Z13
	VPXORD Z14, Z14, Z14
	VPXORD Z15, Z15, Z15
	VPXORD Z16, Z16, Z16
	VPXORD Z17, Z17, Z17
	VPXORD Z18, Z18, Z18
	VPXORD Z19, Z19, Z19
	VPXORD Z20, Z20, Z20
	VPXORD Z21, Z21, Z21
	VPXORD Z22, Z22, Z22
	VPXORD Z23, Z23, Z23

loop512:
	VMOVUPS (DI), Z24
	VMOVUPS (DI)(R9*1), Z25
	VMOVUPS (DI)(R9*2), Z26
	VMOVUPS (DI)(R11*1), Z27
	VMOVUPS (SI), Z28
	ROW512(Z28, Z0, Z1, Z2, Z3)
	VMOVUPS (SI)(R8*1), Z29
	ROW512(Z29, Z4, Z5, Z6, Z7)
	VMOVUPS (SI)(R8*2), Z30
	ROW512(Z30, Z8, Z9, Z10, Z11)
	VMOVUPS (R10), Z28
	ROW512(Z28, Z12, Z13, Z14, Z15)
	VMOVUPS (R10)(R8*1), Z29
	ROW512(Z29, Z16, Z17, Z18, Z19)
	VMOVUPS (R10)(R8*2), Z30
	ROW512(Z30, Z20, Z21, Z22, Z23)
	ADDQ $64, DI
	ADDQ $64, SI
	ADDQ $64, R10
	DECQ CX
	JNZ  loop512

	HALVE4(Z0, Y0, Z1, Y1, Z2, Y2, Z3, Y3)
	HALVE4(Z4, Y4, Z5, Y5, Z6, Y6, Z7, Y7)
	HALVE4(Z8, Y8, Z9, Y9, Z10, Y10, Z11, Y11)
	HALVE4(Z12, Y12, Z13, Y13, Z14, Y14, Z15, Y15)
	HALVE4(Z16, Y16, Z17, Y17, Z18, Y18, Z19, Y19)
	HALVE4(Z20, Y20, Z21, Y21, Z22, Y22, Z23, Y23)
	SUM4(Y0, Y1, Y2, Y3, X0, X1)
	PUT(X0)
	SUM4(Y4, Y5, Y6, Y7, X4, X5)
	PUT(X4)
	SUM4(Y8, Y9, Y10, Y11, X8, X9)
	PUT(X8)
	SUM4(Y12, Y13, Y14, Y15, X12, X13)
	PUT(X12)
	VMOVAPS Y16, Y0
	VMOVAPS Y17, Y1
	VMOVAPS Y18, Y2
	VMOVAPS Y19, Y3
	SUM4(Y0, Y1, Y2, Y3, X0, X1)
	PUT(X0)
	VMOVAPS Y20, Y4
	VMOVAPS Y21, Y5
	VMOVAPS Y22, Y6
	VMOVAPS Y23, Y7
	SUM4(Y4, Y5, Y6, Y7, X4, X5)
	PUT(X4)
	VZEROUPPER
	RET

// func tileAVX2(c *float32, cs int, x *float32, xs int, w *float32, ws int, n, add int)
TEXT ·tileAVX2(SB), NOSPLIT, $0-64
	MOVQ c+0(FP), DX
	MOVQ cs+8(FP), BX
	MOVQ x+16(FP), SI
	MOVQ xs+24(FP), R8
	MOVQ w+32(FP), DI
	MOVQ ws+40(FP), R9
	MOVQ n+48(FP), CX
	MOVQ add+56(FP), R12
	LEAQ (R9)(R9*2), R11
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11

loop2:
	VMOVUPS (SI), Y12
	VMOVUPS (SI)(R8*1), Y13
	VMOVUPS (SI)(R8*2), Y14
	VMOVUPS (DI), Y15
	VFMADD231PS Y15, Y12, Y0
	VFMADD231PS Y15, Y13, Y4
	VFMADD231PS Y15, Y14, Y8
	VMOVUPS (DI)(R9*1), Y15
	VFMADD231PS Y15, Y12, Y1
	VFMADD231PS Y15, Y13, Y5
	VFMADD231PS Y15, Y14, Y9
	VMOVUPS (DI)(R9*2), Y15
	VFMADD231PS Y15, Y12, Y2
	VFMADD231PS Y15, Y13, Y6
	VFMADD231PS Y15, Y14, Y10
	VMOVUPS (DI)(R11*1), Y15
	VFMADD231PS Y15, Y12, Y3
	VFMADD231PS Y15, Y13, Y7
	VFMADD231PS Y15, Y14, Y11
	ADDQ $32, DI
	ADDQ $32, SI
	DECQ CX
	JNZ  loop2

	SUM4(Y0, Y1, Y2, Y3, X0, X1)
	PUT(X0)
	SUM4(Y4, Y5, Y6, Y7, X4, X5)
	PUT(X4)
	SUM4(Y8, Y9, Y10, Y11, X8, X9)
	PUT(X8)
	VZEROUPPER
	RET
