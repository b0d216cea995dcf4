#include "textflag.h"

DATA ·log2e<>+0(SB)/4, $0x3fb8aa3b // 1.4426950408889634
GLOBL ·log2e<>(SB), RODATA|NOPTR, $4
DATA ·ln2hi<>+0(SB)/4, $0x3f318000 // 0.693359375
GLOBL ·ln2hi<>(SB), RODATA|NOPTR, $4
DATA ·ln2lo<>+0(SB)/4, $0xb95e8083 // -0.00021219444
GLOBL ·ln2lo<>(SB), RODATA|NOPTR, $4
DATA ·one<>+0(SB)/4, $0x3f800000 // 1.0
GLOBL ·one<>(SB), RODATA|NOPTR, $4
DATA ·half<>+0(SB)/4, $0x3f000000 // 0.5
GLOBL ·half<>(SB), RODATA|NOPTR, $4
DATA ·least<>+0(SB)/4, $0xc2aeac4f // -87.33654
GLOBL ·least<>(SB), RODATA|NOPTR, $4
DATA ·most<>+0(SB)/4, $0x42b00000 // 88.0
GLOBL ·most<>(SB), RODATA|NOPTR, $4
DATA ·p0<>+0(SB)/4, $0x39506967 // 0.000198756915
GLOBL ·p0<>(SB), RODATA|NOPTR, $4
DATA ·p1<>+0(SB)/4, $0x3ab743ce // 0.0013981999507
GLOBL ·p1<>(SB), RODATA|NOPTR, $4
DATA ·p2<>+0(SB)/4, $0x3c088908 // 0.0083334519073
GLOBL ·p2<>(SB), RODATA|NOPTR, $4
DATA ·p3<>+0(SB)/4, $0x3d2aa9c1 // 0.041665795894
GLOBL ·p3<>(SB), RODATA|NOPTR, $4
DATA ·p4<>+0(SB)/4, $0x3e2aaaaa // 0.16666665459
GLOBL ·p4<>(SB), RODATA|NOPTR, $4
DATA ·p5<>+0(SB)/4, $0x3f000000 // 0.50000001201
GLOBL ·p5<>(SB), RODATA|NOPTR, $4
DATA ·ample<>+0(SB)/4, $0x4cbebc20 // 1e8
GLOBL ·ample<>(SB), RODATA|NOPTR, $4
DATA ·bias<>+0(SB)/4, $127
DATA ·bias<>+4(SB)/4, $127
DATA ·bias<>+8(SB)/4, $127
DATA ·bias<>+12(SB)/4, $127
DATA ·bias<>+16(SB)/4, $127
DATA ·bias<>+20(SB)/4, $127
DATA ·bias<>+24(SB)/4, $127
DATA ·bias<>+28(SB)/4, $127
GLOBL ·bias<>(SB), RODATA|NOPTR, $32

// CONSTANTS loads what EXP needs into Y4 to Y13.
#define CONSTANTS \
	VBROADCASTSS ·log2e<>(SB), Y4;  \
	VBROADCASTSS ·ln2hi<>(SB), Y5;  \
	VBROADCASTSS ·ln2lo<>(SB), Y6;  \
	VBROADCASTSS ·p0<>(SB), Y7;     \
	VBROADCASTSS ·p1<>(SB), Y8;     \
	VBROADCASTSS ·p2<>(SB), Y9;     \
	VBROADCASTSS ·p3<>(SB), Y10;    \
	VBROADCASTSS ·p4<>(SB), Y11;    \
	VBROADCASTSS ·p5<>(SB), Y12;    \
	VBROADCASTSS ·one<>(SB), Y13

// EXP replaces Y0 by e^Y0: e^x = 2ⁿ·e^r with n = round(x·log₂e), |r| ≤ ln2/2, and a polynomial of
// degree 6 for e^r (Cephes, expf). NaN stays NaN. Uses Y1, Y2, Y3, Y14.
#define EXP \
	VBROADCASTSS ·least<>(SB), Y14;     \
	VMAXPS       Y0, Y14, Y0;           \
	VBROADCASTSS ·most<>(SB), Y14;      \
	VMINPS       Y0, Y14, Y0;           \
	VMULPS       Y4, Y0, Y1;            \
	VROUNDPS     $0, Y1, Y1;            \
	VFNMADD231PS Y5, Y1, Y0;            \
	VFNMADD231PS Y6, Y1, Y0;            \
	VMOVAPS      Y7, Y2;                \
	VFMADD213PS  Y8, Y0, Y2;            \
	VFMADD213PS  Y9, Y0, Y2;            \
	VFMADD213PS  Y10, Y0, Y2;           \
	VFMADD213PS  Y11, Y0, Y2;           \
	VFMADD213PS  Y12, Y0, Y2;           \
	VMULPS       Y0, Y0, Y3;            \
	VFMADD213PS  Y0, Y3, Y2;            \
	VADDPS       Y13, Y2, Y2;           \
	VCVTPS2DQ    Y1, Y1;                \
	VPADDD       ·bias<>(SB), Y1, Y1;   \
	VPSLLD       $23, Y1, Y1;           \
	VMULPS       Y1, Y2, Y0

// func expAVX2(x *float32, n int, shift float32, sums *[8]float32)
TEXT ·expAVX2(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	CONSTANTS
	VXORPS Y15, Y15, Y15

exp:
	VMOVUPS      (SI), Y0
	VBROADCASTSS shift+16(FP), Y1
	VSUBPS       Y1, Y0, Y0
	EXP
	VMOVUPS      Y0, (SI)
	VADDPS       Y0, Y15, Y15
	ADDQ         $32, SI
	SUBQ         $8, CX
	JNZ          exp

	MOVQ         sums+24(FP), DI
	VMOVUPS      Y15, (DI)
	VZEROUPPER
	RET

// func gateAVX2(x *float32, n int, a, b float32)
TEXT ·gateAVX2(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	CONSTANTS

gate:
	VMOVUPS      (SI), Y0
	VMULPS       Y0, Y0, Y1
	VBROADCASTSS ·ample<>(SB), Y14
	VMINPS       Y14, Y1, Y1  // keeps 0·∞ out; the exponential saturates long before
	VBROADCASTSS a+16(FP), Y2
	VBROADCASTSS b+20(FP), Y3
	VFMADD213PS  Y2, Y1, Y3   // a + b·x²
	VMULPS       Y3, Y0, Y0
	VXORPS       Y1, Y1, Y1
	VSUBPS       Y0, Y1, Y0   // −x·(a + b·x²)
	EXP
	VADDPS       Y13, Y0, Y0
	VMOVUPS      (SI), Y1
	VDIVPS       Y0, Y1, Y0
	VMOVUPS      Y0, (SI)
	ADDQ         $32, SI
	SUBQ         $8, CX
	JNZ          gate
	VZEROUPPER
	RET

// func maxAVX2(x *float32, n int, most *[8]float32)
TEXT ·maxAVX2(SB), NOSPLIT, $0-24
	MOVQ    x+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVQ    most+16(FP), DI
	VMOVUPS (SI), Y0

most:
	VMOVUPS (SI), Y1
	VMAXPS  Y0, Y1, Y0
	ADDQ    $32, SI
	SUBQ    $8, CX
	JNZ     most
	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET

// func scaleAVX2(x *float32, n int, scale float32)
TEXT ·scaleAVX2(SB), NOSPLIT, $0-20
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS scale+16(FP), Y1

scale:
	VMULPS  (SI), Y1, Y0
	VMOVUPS Y0, (SI)
	ADDQ    $32, SI
	SUBQ    $8, CX
	JNZ     scale
	VZEROUPPER
	RET

// func mulAVX2(x, y *float32, n int)
TEXT ·mulAVX2(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ y+8(FP), DI
	MOVQ n+16(FP), CX

mul:
	VMOVUPS (SI), Y0
	VMULPS  (DI), Y0, Y0
	VMOVUPS Y0, (SI)
	ADDQ    $32, SI
	ADDQ    $32, DI
	SUBQ    $8, CX
	JNZ     mul
	VZEROUPPER
	RET

// func addAVX2(x, y *float32, n int, scale float32)
TEXT ·addAVX2(SB), NOSPLIT, $0-28
	MOVQ         x+0(FP), SI
	MOVQ         y+8(FP), DI
	MOVQ         n+16(FP), CX
	VBROADCASTSS scale+24(FP), Y1

add:
	VMOVUPS     (SI), Y0
	VFMADD231PS (DI), Y1, Y0
	VMOVUPS     Y0, (SI)
	ADDQ        $32, SI
	ADDQ        $32, DI
	SUBQ        $8, CX
	JNZ         add
	VZEROUPPER
	RET

// func momentsAVX2(x *float32, n int, mean float32, sums *[2][8]float32)
TEXT ·momentsAVX2(SB), NOSPLIT, $0-32
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VBROADCASTSS mean+16(FP), Y2
	MOVQ         sums+24(FP), DI
	VXORPS       Y0, Y0, Y0
	VXORPS       Y1, Y1, Y1

moments:
	VMOVUPS     (SI), Y3
	VSUBPS      Y2, Y3, Y3
	VADDPS      Y3, Y0, Y0
	VFMADD231PS Y3, Y3, Y1
	ADDQ        $32, SI
	SUBQ        $8, CX
	JNZ         moments
	VMOVUPS     Y0, (DI)
	VMOVUPS     Y1, 32(DI)
	VZEROUPPER
	RET

// func affineAVX2(y, x, w, b *float32, n int, mean, scale float32)
TEXT ·affineAVX2(SB), NOSPLIT, $0-48
	MOVQ         y+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         w+16(FP), R8
	MOVQ         b+24(FP), R9
	MOVQ         n+32(FP), CX
	VBROADCASTSS mean+40(FP), Y2
	VBROADCASTSS scale+44(FP), Y3
	XORQ         AX, AX

affine:
	VMOVUPS     (SI)(AX*1), Y0
	VSUBPS      Y2, Y0, Y0
	VMULPS      Y3, Y0, Y0
	VMOVUPS     (R9)(AX*1), Y1
	VFMADD231PS (R8)(AX*1), Y0, Y1
	VMOVUPS     Y1, (DI)(AX*1)
	ADDQ        $32, AX
	SUBQ        $8, CX
	JNZ         affine
	VZEROUPPER
	RET

// func round16AVX2(x *float32, n int)
TEXT ·round16AVX2(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX

round:
	VMOVUPS   (SI), Y0
	VCVTPS2PH $0, Y0, X0
	VCVTPH2PS X0, Y0
	VMOVUPS   Y0, (SI)
	ADDQ      $32, SI
	SUBQ      $8, CX
	JNZ       round
	VZEROUPPER
	RET
