#include "textflag.h"

// A tile of y stays in registers while the rows of x are added. Products are rounded before they are added.

// LOAD4 and STORE4 move four vectors of y, at DI, to registers and back.
#define LOAD4(o0, o1, o2, o3, a, b, c, d) \
	VMOVUPS o0(DI), a; \
	VMOVUPS o1(DI), b; \
	VMOVUPS o2(DI), c; \
	VMOVUPS o3(DI), d

#define STORE4(o0, o1, o2, o3, a, b, c, d) \
	VMOVUPS a, o0(DI); \
	VMOVUPS b, o1(DI); \
	VMOVUPS c, o2(DI); \
	VMOVUPS d, o3(DI)

// MUL4 makes p to t the products of four vectors of a row of x, at R11, with s; ADD4 adds these to a to d.
#define MUL4(o0, o1, o2, o3, s, p, q, r, t) \
	VMULPS o0(R11), s, p; \
	VMULPS o1(R11), s, q; \
	VMULPS o2(R11), s, r; \
	VMULPS o3(R11), s, t

#define ADD4(p, q, r, t, a, b, c, d) \
	VADDPS p, a, a; \
	VADDPS q, b, b; \
	VADDPS r, c, c; \
	VADDPS t, d, d

// FIRST_ROW goes to the first row of x, at R11, with its factor at R12 and R13 rows to come; NEXT_ROW to the next one.
#define FIRST_ROW \
	MOVQ R9, R11; \
	MOVQ SI, R12; \
	MOVQ R8, R13

#define NEXT_ROW \
	ADDQ $4, R12; \
	ADDQ R10, R11; \
	DECQ R13

// func sweepAVX2(y *float32, n int, a *float32, k int, x *float32, step int)
TEXT ·sweepAVX2(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ a+16(FP), SI
	MOVQ k+24(FP), R8
	MOVQ x+32(FP), R9
	MOVQ step+40(FP), R10
	SHLQ $2, R10

wide:
	CMPQ    CX, $64
	JLT     narrow
	LOAD4(0, 32, 64, 96, Y0, Y1, Y2, Y3)
	LOAD4(128, 160, 192, 224, Y4, Y5, Y6, Y7)
	FIRST_ROW

wideRow:
	VBROADCASTSS (R12), Y8
	MUL4(0, 32, 64, 96, Y8, Y9, Y10, Y11, Y12)
	ADD4(Y9, Y10, Y11, Y12, Y0, Y1, Y2, Y3)
	MUL4(128, 160, 192, 224, Y8, Y9, Y10, Y11, Y12)
	ADD4(Y9, Y10, Y11, Y12, Y4, Y5, Y6, Y7)
	NEXT_ROW
	JNE  wideRow
	STORE4(0, 32, 64, 96, Y0, Y1, Y2, Y3)
	STORE4(128, 160, 192, 224, Y4, Y5, Y6, Y7)
	ADDQ    $256, DI
	ADDQ    $256, R9
	SUBQ    $64, CX
	JMP     wide

narrow:
	CMPQ    CX, $32
	JLT     last
	LOAD4(0, 32, 64, 96, Y0, Y1, Y2, Y3)
	FIRST_ROW

narrowRow:
	VBROADCASTSS (R12), Y8
	MUL4(0, 32, 64, 96, Y8, Y9, Y10, Y11, Y12)
	ADD4(Y9, Y10, Y11, Y12, Y0, Y1, Y2, Y3)
	NEXT_ROW
	JNE  narrowRow
	STORE4(0, 32, 64, 96, Y0, Y1, Y2, Y3)
	ADDQ    $128, DI
	ADDQ    $128, R9
	SUBQ    $32, CX
	JMP     narrow

last:
	TESTQ   CX, CX
	JEQ     done
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1

lastRow:
	VBROADCASTSS (SI), Y8
	VMULPS       (R9), Y8, Y9
	VADDPS       Y9, Y0, Y0
	VMULPS       32(R9), Y8, Y10
	VADDPS       Y10, Y1, Y1
	ADDQ         $4, SI
	ADDQ         R10, R9
	DECQ         R8
	JNE  lastRow
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)

done:
	VZEROUPPER
	RET

// func sweepAVX512(y *float32, n int, a *float32, k int, x *float32, step int)
TEXT ·sweepAVX512(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ a+16(FP), SI
	MOVQ k+24(FP), R8
	MOVQ x+32(FP), R9
	MOVQ step+40(FP), R10
	SHLQ $2, R10

wide:
	CMPQ    CX, $128
	JLT     narrow
	LOAD4(0, 64, 128, 192, Z0, Z1, Z2, Z3)
	LOAD4(256, 320, 384, 448, Z4, Z5, Z6, Z7)
	FIRST_ROW

wideRow:
	VBROADCASTSS (R12), Z8
	MUL4(0, 64, 128, 192, Z8, Z9, Z10, Z11, Z12)
	MUL4(256, 320, 384, 448, Z8, Z13, Z14, Z15, Z16)
	ADD4(Z9, Z10, Z11, Z12, Z0, Z1, Z2, Z3)
	ADD4(Z13, Z14, Z15, Z16, Z4, Z5, Z6, Z7)
	NEXT_ROW
	JNE  wideRow
	STORE4(0, 64, 128, 192, Z0, Z1, Z2, Z3)
	STORE4(256, 320, 384, 448, Z4, Z5, Z6, Z7)
	ADDQ    $512, DI
	ADDQ    $512, R9
	SUBQ    $128, CX
	JMP     wide

narrow:
	CMPQ    CX, $32
	JLT     last
	VMOVUPS (DI), Z0
	VMOVUPS 64(DI), Z1
	FIRST_ROW

narrowRow:
	VBROADCASTSS (R12), Z8
	VMULPS       (R11), Z8, Z9
	VMULPS       64(R11), Z8, Z10
	VADDPS       Z9, Z0, Z0
	VADDPS       Z10, Z1, Z1
	NEXT_ROW
	JNE  narrowRow
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	ADDQ    $128, DI
	ADDQ    $128, R9
	SUBQ    $32, CX
	JMP     narrow

last:
	TESTQ   CX, CX
	JEQ     done
	VMOVUPS (DI), Z0

lastRow:
	VBROADCASTSS (SI), Z8
	VMULPS       (R9), Z8, Z9
	VADDPS       Z9, Z0, Z0
	ADDQ         $4, SI
	ADDQ         R10, R9
	DECQ         R8
	JNE  lastRow
	VMOVUPS Z0, (DI)

done:
	VZEROUPPER
	RET

// DOT adds the products of vectors at an offset of SI and DI to acc; r is free.
#define DOT(off, acc, r) \
	VMOVUPD off(SI), r; \
	VMULPD  off(DI), r, r; \
	VADDPD  r, acc, acc

// FOLD64 adds up the four lanes of y, whose lower half is x; t is free.
#define FOLD64(y, x, t) \
	VEXTRACTF128 $1, y, t; \
	VADDPD       t, x, x; \
	VUNPCKHPD    x, x, t; \
	VADDSD       t, x, x

// func dot64AVX2(a, b *float64, n int) float64
TEXT ·dot64AVX2(SB), NOSPLIT, $0-32
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DI
	MOVQ n+16(FP), CX
	VXORPD Y0, Y0, Y0
	VXORPD Y1, Y1, Y1
	VXORPD Y2, Y2, Y2
	VXORPD Y3, Y3, Y3
	VXORPD Y4, Y4, Y4
	VXORPD Y5, Y5, Y5
	VXORPD Y6, Y6, Y6
	VXORPD Y7, Y7, Y7

dot64AVX2Loop:
	DOT(0, Y0, Y8)
	DOT(32, Y1, Y9)
	DOT(64, Y2, Y10)
	DOT(96, Y3, Y11)
	DOT(128, Y4, Y12)
	DOT(160, Y5, Y13)
	DOT(192, Y6, Y14)
	DOT(224, Y7, Y15)
	ADDQ    $256, SI
	ADDQ    $256, DI
	SUBQ    $32, CX
	JNE  dot64AVX2Loop
	VADDPD Y4, Y0, Y0
	VADDPD Y5, Y1, Y1
	VADDPD Y6, Y2, Y2
	VADDPD Y7, Y3, Y3
	VADDPD Y2, Y0, Y0
	VADDPD Y3, Y1, Y1
	VADDPD Y1, Y0, Y0
	FOLD64(Y0, X0, X1)
	VMOVSD       X0, ret+24(FP)
	VZEROUPPER
	RET

// func dot64AVX512(a, b *float64, n int) float64
TEXT ·dot64AVX512(SB), NOSPLIT, $0-32
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DI
	MOVQ n+16(FP), CX
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3

dot64AVX512Loop:
	DOT(0, Z0, Z4)
	DOT(64, Z1, Z5)
	DOT(128, Z2, Z6)
	DOT(192, Z3, Z7)
	ADDQ    $256, SI
	ADDQ    $256, DI
	SUBQ    $32, CX
	JNE  dot64AVX512Loop
	VADDPD Z2, Z0, Z0
	VADDPD Z3, Z1, Z1
	VADDPD Z1, Z0, Z0
	VEXTRACTF64X4 $1, Z0, Y1
	VADDPD Y1, Y0, Y0
	FOLD64(Y0, X0, X1)
	VMOVSD       X0, ret+24(FP)
	VZEROUPPER
	RET

// func innerAVX2(x, y *float32, n int) float64
TEXT ·innerAVX2(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ y+8(FP), DI
	MOVQ n+16(FP), CX
	VXORPD Y0, Y0, Y0
	VXORPD Y1, Y1, Y1
	VXORPD Y2, Y2, Y2
	VXORPD Y3, Y3, Y3
	VXORPD Y4, Y4, Y4
	VXORPD Y5, Y5, Y5
	VXORPD Y6, Y6, Y6
	VXORPD Y7, Y7, Y7

innerAVX2Loop:
	VCVTPS2PD (SI), Y8
	VCVTPS2PD (DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y0, Y0
	VCVTPS2PD 16(SI), Y8
	VCVTPS2PD 16(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y1, Y1
	VCVTPS2PD 32(SI), Y8
	VCVTPS2PD 32(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y2, Y2
	VCVTPS2PD 48(SI), Y8
	VCVTPS2PD 48(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y3, Y3
	VCVTPS2PD 64(SI), Y8
	VCVTPS2PD 64(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y4, Y4
	VCVTPS2PD 80(SI), Y8
	VCVTPS2PD 80(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y5, Y5
	VCVTPS2PD 96(SI), Y8
	VCVTPS2PD 96(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y6, Y6
	VCVTPS2PD 112(SI), Y8
	VCVTPS2PD 112(DI), Y9
	VMULPD    Y9, Y8, Y8
	VADDPD    Y8, Y7, Y7
	ADDQ      $128, SI
	ADDQ      $128, DI
	SUBQ      $32, CX
	JNE       innerAVX2Loop
	VADDPD Y4, Y0, Y0
	VADDPD Y5, Y1, Y1
	VADDPD Y6, Y2, Y2
	VADDPD Y7, Y3, Y3
	VADDPD Y2, Y0, Y0
	VADDPD Y3, Y1, Y1
	VADDPD Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPD       X1, X0, X0
	VUNPCKHPD    X0, X0, X1
	VADDSD       X1, X0, X0
	VMOVSD       X0, ret+24(FP)
	VZEROUPPER
	RET

// func innerAVX512(x, y *float32, n int) float64
TEXT ·innerAVX512(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ y+8(FP), DI
	MOVQ n+16(FP), CX
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3

innerAVX512Loop:
	VCVTPS2PD (SI), Z4
	VCVTPS2PD (DI), Z5
	VMULPD    Z5, Z4, Z4
	VADDPD    Z4, Z0, Z0
	VCVTPS2PD 32(SI), Z4
	VCVTPS2PD 32(DI), Z5
	VMULPD    Z5, Z4, Z4
	VADDPD    Z4, Z1, Z1
	VCVTPS2PD 64(SI), Z4
	VCVTPS2PD 64(DI), Z5
	VMULPD    Z5, Z4, Z4
	VADDPD    Z4, Z2, Z2
	VCVTPS2PD 96(SI), Z4
	VCVTPS2PD 96(DI), Z5
	VMULPD    Z5, Z4, Z4
	VADDPD    Z4, Z3, Z3
	ADDQ      $128, SI
	ADDQ      $128, DI
	SUBQ      $32, CX
	JNE       innerAVX512Loop
	VADDPD Z2, Z0, Z0
	VADDPD Z3, Z1, Z1
	VADDPD Z1, Z0, Z0
	VEXTRACTF64X4 $1, Z0, Y1
	VADDPD Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPD       X1, X0, X0
	VUNPCKHPD    X0, X0, X1
	VADDSD       X1, X0, X0
	VMOVSD       X0, ret+24(FP)
	VZEROUPPER
	RET
