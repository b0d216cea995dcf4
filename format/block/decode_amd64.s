#include "textflag.h"

// Codes to weights, (code − zero)·scale, 16 at a time; n is a multiple of 16 and not 0. The shorter codes become bytes
// first. Every operation is exact but for the product's sign of 0, which is that of Go.

DATA ·nibbles<>+0(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA ·nibbles<>+8(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL ·nibbles<>(SB), RODATA|NOPTR, $16
DATA ·pairs<>+0(SB)/8, $0x0303030303030303
DATA ·pairs<>+8(SB)/8, $0x0303030303030303
GLOBL ·pairs<>(SB), RODATA|NOPTR, $16

#define ARGUMENTS \
	MOVQ         dst+0(FP), DI;     \
	MOVQ         codes+8(FP), SI;   \
	MOVQ         n+16(FP), CX;      \
	VPBROADCASTD zero+24(FP), Y15;  \
	VBROADCASTSS scale+28(FP), Y14

// WEIGHTS stores the weights of the codes in Y0, as int32, at off.
#define WEIGHTS(off) \
	VPSUBD    Y15, Y0, Y0; \
	VCVTDQ2PS Y0, Y0;      \
	VMULPS    Y14, Y0, Y0; \
	VMOVUPS   Y0, off(DI)

// BYTES stores the weights of the 16 bytes in X1.
#define BYTES \
	VPMOVZXBD X1, Y0;      \
	WEIGHTS(0);            \
	VPSRLDQ   $8, X1, X1;  \
	VPMOVZXBD X1, Y0;      \
	WEIGHTS(32)

// func decode8AVX2(dst *float32, codes *byte, n int, zero int32, scale float32)
TEXT ·decode8AVX2(SB), NOSPLIT, $0-32
	ARGUMENTS

eight:
	VPMOVSXBD (SI), Y0
	WEIGHTS(0)
	VPMOVSXBD 8(SI), Y0
	WEIGHTS(32)
	ADDQ      $16, SI
	ADDQ      $64, DI
	SUBQ      $16, CX
	JNZ       eight
	VZEROUPPER
	RET

// func decode4AVX2(dst *float32, codes *byte, n int, zero int32, scale float32)
TEXT ·decode4AVX2(SB), NOSPLIT, $0-32
	ARGUMENTS

four:
	VPMOVZXBW (SI), X1
	VPSLLW    $4, X1, X2
	VPOR      X2, X1, X1
	VPAND     ·nibbles<>(SB), X1, X1
	BYTES
	ADDQ      $8, SI
	ADDQ      $64, DI
	SUBQ      $16, CX
	JNZ       four
	VZEROUPPER
	RET

// func decode2AVX2(dst *float32, codes *byte, n int, zero int32, scale float32)
TEXT ·decode2AVX2(SB), NOSPLIT, $0-32
	ARGUMENTS

two:
	VPMOVZXBD (SI), X1 // byte k of four: the bits from 2k on
	VPSLLD    $6, X1, X2
	VPSLLD    $12, X1, X3
	VPOR      X2, X1, X1
	VPSLLD    $6, X3, X2
	VPOR      X3, X2, X2
	VPOR      X2, X1, X1
	VPAND     ·pairs<>(SB), X1, X1
	BYTES
	ADDQ      $4, SI
	ADDQ      $64, DI
	SUBQ      $16, CX
	JNZ       two
	VZEROUPPER
	RET

// func singlesAVX2(dst *float32, src *byte, n int)
TEXT ·singlesAVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

singles:
	VCVTPH2PS (SI), Y0
	VCVTPH2PS 16(SI), Y1
	VMOVUPS   Y0, (DI)
	VMOVUPS   Y1, 32(DI)
	ADDQ      $32, SI
	ADDQ      $64, DI
	SUBQ      $16, CX
	JNZ       singles
	VZEROUPPER
	RET
