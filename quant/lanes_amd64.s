#include "textflag.h"

// The bodies of lanes.go with AVX2, FMA and F16C: lanes 0–7 in one register, 8–15 in another.
// An FMA never changes a result here: it is used where the product is exact.

// FOLD adds 16 lanes, 8 in each of a and b: l to l+8, l+4, l+2, l+1. xa and xb are their halves.
#define FOLD(a, b, xa, xb) \
	VADDPS       b, a, a;      \
	VEXTRACTF128 $1, a, xb;    \
	VADDPS       xb, xa, xa;   \
	VMOVHLPS     xa, xa, xb;   \
	VADDPS       xb, xa, xa;   \
	VMOVSHDUP    xa, xb;       \
	VADDSS       xb, xa, xa

// LEVEL makes d the levels of the quotients in d. Y2, Y3: the least and the greatest level.
#define LEVEL(d) \
	VMAXPS   Y2, d, d; \
	VMINPS   Y3, d, d; \
	VROUNDPS $0, d, d

// func extentAVX2(w *float32, n int) (lo, hi float32, odd uint32)
TEXT ·extentAVX2(SB), NOSPLIT, $0-28
	MOVQ    w+0(FP), SI
	MOVQ    n+8(FP), CX
	VMOVUPS (SI), Y0
	VMOVAPS Y0, Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y0, Y3
	VXORPS  Y4, Y4, Y4       // w−w of all: its bits are 0 if they are finite
	VXORPS  Y5, Y5, Y5

extent:
	VMOVUPS (SI), Y6
	VMOVUPS 32(SI), Y7
	VMOVUPS 64(SI), Y8
	VMOVUPS 96(SI), Y9
	VMINPS  Y6, Y0, Y0
	VMAXPS  Y6, Y1, Y1
	VMINPS  Y7, Y2, Y2
	VMAXPS  Y7, Y3, Y3
	VMINPS  Y8, Y0, Y0
	VMAXPS  Y8, Y1, Y1
	VMINPS  Y9, Y2, Y2
	VMAXPS  Y9, Y3, Y3
	VSUBPS  Y6, Y6, Y6
	VSUBPS  Y7, Y7, Y7
	VSUBPS  Y8, Y8, Y8
	VSUBPS  Y9, Y9, Y9
	VORPS   Y6, Y4, Y4
	VORPS   Y7, Y5, Y5
	VORPS   Y8, Y4, Y4
	VORPS   Y9, Y5, Y5
	ADDQ    $128, SI
	SUBQ    $32, CX
	JNE     extent

	VMINPS       Y2, Y0, Y0
	VMAXPS       Y3, Y1, Y1
	VEXTRACTF128 $1, Y0, X2
	VEXTRACTF128 $1, Y1, X3
	VMINPS       X2, X0, X0
	VMAXPS       X3, X1, X1
	VMOVHLPS     X0, X0, X2
	VMOVHLPS     X1, X1, X3
	VMINPS       X2, X0, X0
	VMAXPS       X3, X1, X1
	VMOVSHDUP    X0, X2
	VMOVSHDUP    X1, X3
	VMINSS       X2, X0, X0
	VMAXSS       X3, X1, X1
	VXORPS       X2, X2, X2
	VADDSS       X2, X0, X0  // −0 becomes 0
	VADDSS       X2, X1, X1
	VMOVSS       X0, lo+16(FP)
	VMOVSS       X1, hi+20(FP)
	VORPS        Y5, Y4, Y4
	VXORPS       Y5, Y5, Y5
	VCMPPS       $4, Y5, Y4, Y4  // not equal to 0: NaN is not
	VMOVMSKPS    Y4, AX
	MOVL         AX, odd+24(FP)
	VZEROUPPER
	RET

// COST adds the squared errors of 8 weights to acc. Y0: 1/s, Y1: s. d and r are free.
#define COST(off, acc, d, r) \
	VMOVUPS      off(AX), r; \
	VMULPS       r, Y0, d;   \
	LEVEL(d);                \
	VFNMADD231PS d, Y1, r;   \
	VMULPS       r, r, r;    \
	VADDPS       r, acc, acc

// TRIAL loads the trial at BX and starts its sums over: AX and R8 are the weights and how many.
#define TRIAL(inv, s, lo, hi) \
	VBROADCASTSS 0(BX), inv; \
	VBROADCASTSS 4(BX), s;   \
	VBROADCASTSS 8(BX), lo;  \
	VBROADCASTSS 12(BX), hi; \
	MOVQ         SI, AX;     \
	MOVQ         CX, R8

// PUT_COST stores the cost x of the trial at BX and goes on to the next one of DX.
#define PUT_COST(x) \
	VMOVSS x, (DI); \
	ADDQ   $4, DI;  \
	ADDQ   $16, BX; \
	DECQ   DX

// func costsAVX2(c, w *float32, n int, trials *trial, k int)
TEXT ·costsAVX2(SB), NOSPLIT, $0-40
	MOVQ c+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ trials+24(FP), BX
	MOVQ k+32(FP), DX

trial:
	TRIAL(Y0, Y1, Y2, Y3)
	VXORPS       Y4, Y4, Y4
	VXORPS       Y5, Y5, Y5

weights:
	COST(0, Y4, Y6, Y7)
	COST(32, Y5, Y8, Y9)
	COST(64, Y4, Y10, Y11)
	COST(96, Y5, Y12, Y13)
	ADDQ $128, AX
	SUBQ $32, R8
	JNE  weights

	FOLD(Y4, Y5, X4, X5)
	PUT_COST(X4)
	JNE    trial
	VZEROUPPER
	RET

// MOMENTS adds to the sums over 8 weights: a Σd, b Σd², c Σw, d Σwd.
#define MOMENTS(off, a, b, c, d) \
	VMOVUPS off(SI), Y13;    \
	VMULPS  Y13, Y0, Y12;    \
	LEVEL(Y12);              \
	VADDPS  Y12, a, a;       \
	VADDPS  Y13, c, c;       \
	VMULPS  Y12, Y13, Y13;   \
	VMULPS  Y12, Y12, Y12;   \
	VADDPS  Y13, d, d;       \
	VADDPS  Y12, b, b

// func momentsAVX2(w *float32, n int, t trial) (d1, d2, w1, wd float32)
TEXT ·momentsAVX2(SB), NOSPLIT, $0-48
	MOVQ         w+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS t_inv+16(FP), Y0
	VBROADCASTSS t_lo+24(FP), Y2
	VBROADCASTSS t_hi+28(FP), Y3
	VXORPS       Y4, Y4, Y4
	VXORPS       Y5, Y5, Y5
	VXORPS       Y6, Y6, Y6
	VXORPS       Y7, Y7, Y7
	VXORPS       Y8, Y8, Y8
	VXORPS       Y9, Y9, Y9
	VXORPS       Y10, Y10, Y10
	VXORPS       Y11, Y11, Y11

moments:
	MOMENTS(0, Y4, Y6, Y8, Y10)
	MOMENTS(32, Y5, Y7, Y9, Y11)
	MOMENTS(64, Y4, Y6, Y8, Y10)
	MOMENTS(96, Y5, Y7, Y9, Y11)
	ADDQ $128, SI
	SUBQ $32, CX
	JNE  moments

	FOLD(Y4, Y5, X4, X5)
	FOLD(Y6, Y7, X6, X7)
	FOLD(Y8, Y9, X8, X9)
	FOLD(Y10, Y11, X10, X11)
	VMOVSS X4, d1+32(FP)
	VMOVSS X6, d2+36(FP)
	VMOVSS X8, w1+40(FP)
	VMOVSS X10, wd+44(FP)
	VZEROUPPER
	RET

// CODES makes u the codes of 8 weights, from 0, as int32, and adds their squared errors to loss
// and their squares to power. Y1: s.
#define CODES(off, loss, power, u) \
	VMOVUPS      off(SI), Y12;      \
	VDIVPS       Y1, Y12, u;        \
	LEVEL(u);                       \
	VMULPS       Y12, Y12, Y13;     \
	VADDPS       Y13, power, power; \
	VFNMADD231PS u, Y1, Y12;        \
	VMULPS       Y12, Y12, Y12;     \
	VADDPS       Y12, loss, loss;   \
	VSUBPS       Y2, u, u;          \
	VCVTPS2DQ    u, u

// PACK writes the 32 codes that are the bytes of Y8, in BX bits each, to DI and moves DI on.
// 8 bits: to two's complement. 4 bits: u₀ + 16·u₁ in each 16. 2 bits: u₀ + 4·u₁ in each 16, then
// that and 16 times the next in each 32. The caller names the labels.
#define PACK(four, two, done) \
	CMPQ       BX, $4;               \
	JEQ        four;                 \
	JLT        two;                  \
	VPXOR      signs<>(SB), Y8, Y8;  \
	VMOVDQU    Y8, (DI);             \
	ADDQ       $32, DI;              \
	JMP        done;                 \
four:                                \
	VPMADDUBSW nibbles<>(SB), Y8, Y8; \
	VPACKUSWB  Y8, Y8, Y8;           \
	VPERMQ     $8, Y8, Y8;           \
	VMOVDQU    X8, (DI);             \
	ADDQ       $16, DI;              \
	JMP        done;                 \
two:                                 \
	VPMADDUBSW pairs<>(SB), Y8, Y8; \
	VPMADDWD   quads<>(SB), Y8, Y8; \
	VPACKUSDW  Y8, Y8, Y8;           \
	VPACKUSWB  Y8, Y8, Y8;           \
	VPERMD     Y8, Y15, Y8;          \
	VMOVQ      X8, (DI);             \
	ADDQ       $8, DI;               \
done:

DATA order<>+0(SB)/8, $0x0000000400000000 // puts together what packs leave in halves
DATA order<>+8(SB)/8, $0x0000000500000001
DATA order<>+16(SB)/8, $0x0000000600000002
DATA order<>+24(SB)/8, $0x0000000700000003
GLOBL order<>(SB), RODATA|NOPTR, $32

#define REPEAT(name, value) \
	DATA name<>+0(SB)/8, value;  \
	DATA name<>+8(SB)/8, value;  \
	DATA name<>+16(SB)/8, value; \
	DATA name<>+24(SB)/8, value; \
	GLOBL name<>(SB), RODATA|NOPTR, $32

REPEAT(signs, $0x8080808080808080)
REPEAT(nibbles, $0x1001100110011001)
REPEAT(pairs, $0x0401040104010401)
REPEAT(quads, $0x0010000100100001)

// func encodeAVX2(dst *byte, w *float32, n int, t trial, bits int) (loss, power float32)
TEXT ·encodeAVX2(SB), NOSPLIT, $0-56
	MOVQ         dst+0(FP), DI
	MOVQ         w+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS t_s+28(FP), Y1
	VBROADCASTSS t_lo+32(FP), Y2
	VBROADCASTSS t_hi+36(FP), Y3
	MOVQ         bits+40(FP), BX
	VMOVDQU      order<>(SB), Y15
	VXORPS       Y4, Y4, Y4
	VXORPS       Y5, Y5, Y5
	VXORPS       Y6, Y6, Y6
	VXORPS       Y7, Y7, Y7

codes:
	CODES(0, Y4, Y6, Y8)
	CODES(32, Y5, Y7, Y9)
	CODES(64, Y4, Y6, Y10)
	CODES(96, Y5, Y7, Y11)
	VPACKUSDW Y9, Y8, Y8
	VPACKUSDW Y11, Y10, Y10
	VPACKUSWB Y10, Y8, Y8
	VPERMD    Y8, Y15, Y8
	PACK(four, two, done)
	ADDQ $128, SI
	SUBQ $32, CX
	JNE  codes

	FOLD(Y4, Y5, X4, X5)
	FOLD(Y6, Y7, X6, X7)
	VMOVSS X4, loss+48(FP)
	VMOVSS X6, power+52(FP)
	VZEROUPPER
	RET

// The same with AVX-512: all 16 lanes in one register. That saves the search a tenth (int4/128) to a
// quarter (int2/256) of its time; extent would gain nothing.

// FOLD512 adds 16 lanes; y and x are parts of z, ty and tx of another register.
#define FOLD512(z, y, x, ty, tx) \
	VEXTRACTF64X4 $1, z, ty; \
	FOLD(y, ty, x, tx)

#define LEVEL512(d) \
	VMAXPS      Z2, d, d; \
	VMINPS      Z3, d, d; \
	VRNDSCALEPS $0, d, d

#define COST512(off, acc, d, r) \
	VMOVUPS      off(AX), r; \
	VMULPS       r, Z0, d;   \
	LEVEL512(d);             \
	VFNMADD231PS d, Z1, r;   \
	VMULPS       r, r, r;    \
	VADDPS       r, acc, acc

// func costsAVX512(c, w *float32, n int, trials *trial, k int)
TEXT ·costsAVX512(SB), NOSPLIT, $0-40
	MOVQ c+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ trials+24(FP), BX
	MOVQ k+32(FP), DX

trial:
	TRIAL(Z0, Z1, Z2, Z3)
	VPXORQ       Z4, Z4, Z4

weights:
	COST512(0, Z4, Z6, Z7)
	COST512(64, Z4, Z8, Z9)
	ADDQ $128, AX
	SUBQ $32, R8
	JNE  weights

	FOLD512(Z4, Y4, X4, Y5, X5)
	PUT_COST(X4)
	JNE    trial
	VZEROUPPER
	RET

#define MOMENTS512(off) \
	VMOVUPS off(SI), Z13;    \
	VMULPS  Z13, Z0, Z12;    \
	LEVEL512(Z12);           \
	VADDPS  Z12, Z4, Z4;     \
	VADDPS  Z13, Z8, Z8;     \
	VMULPS  Z12, Z13, Z13;   \
	VMULPS  Z12, Z12, Z12;   \
	VADDPS  Z13, Z10, Z10;   \
	VADDPS  Z12, Z6, Z6

// func momentsAVX512(w *float32, n int, t trial) (d1, d2, w1, wd float32)
TEXT ·momentsAVX512(SB), NOSPLIT, $0-48
	MOVQ         w+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS t_inv+16(FP), Z0
	VBROADCASTSS t_lo+24(FP), Z2
	VBROADCASTSS t_hi+28(FP), Z3
	VPXORQ       Z4, Z4, Z4
	VPXORQ       Z6, Z6, Z6
	VPXORQ       Z8, Z8, Z8
	VPXORQ       Z10, Z10, Z10

moments:
	MOMENTS512(0)
	MOMENTS512(64)
	ADDQ $128, SI
	SUBQ $32, CX
	JNE  moments

	FOLD512(Z4, Y4, X4, Y5, X5)
	FOLD512(Z6, Y6, X6, Y7, X7)
	FOLD512(Z8, Y8, X8, Y9, X9)
	FOLD512(Z10, Y10, X10, Y11, X11)
	VMOVSS X4, d1+32(FP)
	VMOVSS X6, d2+36(FP)
	VMOVSS X8, w1+40(FP)
	VMOVSS X10, wd+44(FP)
	VZEROUPPER
	RET

#define CODES512(off, u) \
	VMOVUPS      off(SI), Z12;  \
	VDIVPS       Z1, Z12, u;    \
	LEVEL512(u);                \
	VMULPS       Z12, Z12, Z13; \
	VADDPS       Z13, Z6, Z6;   \
	VFNMADD231PS u, Z1, Z12;    \
	VMULPS       Z12, Z12, Z12; \
	VADDPS       Z12, Z4, Z4;   \
	VSUBPS       Z2, u, u;      \
	VCVTPS2DQ    u, u

// func encodeAVX512(dst *byte, w *float32, n int, t trial, bits int) (loss, power float32)
TEXT ·encodeAVX512(SB), NOSPLIT, $0-56
	MOVQ         dst+0(FP), DI
	MOVQ         w+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS t_s+28(FP), Z1
	VBROADCASTSS t_lo+32(FP), Z2
	VBROADCASTSS t_hi+36(FP), Z3
	MOVQ         bits+40(FP), BX
	VMOVDQU      order<>(SB), Y15
	VPXORQ       Z4, Z4, Z4
	VPXORQ       Z6, Z6, Z6

codes:
	CODES512(0, Z8)
	CODES512(64, Z9)
	VPMOVDB     Z8, X8
	VPMOVDB     Z9, X9
	VINSERTI128 $1, X9, Y8, Y8
	PACK(four, two, done)
	ADDQ $128, SI
	SUBQ $32, CX
	JNE  codes

	FOLD512(Z4, Y4, X4, Y5, X5)
	FOLD512(Z6, Y6, X6, Y7, X7)
	VMOVSS X4, loss+48(FP)
	VMOVSS X6, power+52(FP)
	VZEROUPPER
	RET
