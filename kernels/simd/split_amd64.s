#include "textflag.h"

// Vectors of float32 as limbs of integers; integers.go says how these lie.

DATA ·even<>+0(SB)/4, $0
DATA ·even<>+4(SB)/4, $2
DATA ·even<>+8(SB)/4, $4
DATA ·even<>+12(SB)/4, $6
DATA ·even<>+16(SB)/4, $8
DATA ·even<>+20(SB)/4, $10
DATA ·even<>+24(SB)/4, $12
DATA ·even<>+28(SB)/4, $14
DATA ·even<>+32(SB)/4, $16
DATA ·even<>+36(SB)/4, $18
DATA ·even<>+40(SB)/4, $20
DATA ·even<>+44(SB)/4, $22
DATA ·even<>+48(SB)/4, $24
DATA ·even<>+52(SB)/4, $26
DATA ·even<>+56(SB)/4, $28
DATA ·even<>+60(SB)/4, $30
GLOBL ·even<>(SB), RODATA|NOPTR, $64

DATA ·half<>+0(SB)/4, $128
GLOBL ·half<>(SB), RODATA|NOPTR, $4

DATA ·one<>+0(SB)/4, $1
GLOBL ·one<>(SB), RODATA|NOPTR, $4

DATA ·ones<>+0(SB)/4, $0x01010101
GLOBL ·ones<>(SB), RODATA|NOPTR, $4

#define SPLIT \
	MOVQ         dst+0(FP), DI;     \
	MOVQ         x+8(FP), SI;       \
	MOVQ         pieces+16(FP), CX; \
	VBROADCASTSS per+24(FP), Z31;   \
	VPBROADCASTD ·half<>(SB), Z30;  \
	VMOVDQU32    ·even<>(SB), Z28;  \
	VPBROADCASTD ·one<>(SB), Z29;   \
	VPADDD       Z28, Z29, Z29 // the odd ones

// WRITE writes the limbs of the 16 numbers in z.
#define WRITE(z, at) \
	VMULPS    Z31, z, z;       \
	VCVTPS2DQ z, z;            \
	VPMOVDB   z, at(DI);       \
	VPADDD    Z30, z, z;       \
	VPSRAD    $8, z, z;        \
	VPMOVDB   z, (at+64)(DI);  \
	VPADDD    Z30, z, z;       \
	VPSRAD    $8, z, z;        \
	VPMOVDB   z, (at+128)(DI)

// func extentAVX512(x *float32, n int) uint32
TEXT ·extentAVX512(SB), NOSPLIT, $0-20
	MOVQ   x+0(FP), SI
	MOVQ   n+8(FP), CX
	SHRQ   $4, CX
	VPXORD Z0, Z0, Z0

extentLoop:
	VMOVDQU32 (SI), Z1
	VPSLLD    $1, Z1, Z1 // without the sign
	VPMAXUD   Z1, Z0, Z0
	ADDQ      $64, SI
	DECQ      CX
	JNZ       extentLoop
	VEXTRACTI64X4 $1, Z0, Y1
	VPMAXUD       Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPMAXUD       X1, X0, X0
	VPSHUFD       $0x4e, X0, X1
	VPMAXUD       X1, X0, X0
	VPSHUFD       $0xb1, X0, X1
	VPMAXUD       X1, X0, X0
	VPSRLD        $1, X0, X0
	VMOVSS        X0, ret+16(FP)
	VZEROUPPER
	RET

// func split8(dst *byte, x *float32, pieces int, per float32)
TEXT ·split8(SB), NOSPLIT, $0-28
	SPLIT

split8Piece:
	VMOVUPS (SI), Z0
	WRITE(Z0, 0)
	ADDQ $64, SI
	ADDQ $16, DI
	DECQ CX
	JNZ  split8Piece
	VZEROUPPER
	RET

// func split4(dst *byte, x *float32, pieces int, per float32)
TEXT ·split4(SB), NOSPLIT, $0-28
	SPLIT

split4Piece:
	VMOVUPS   (SI), Z0
	VMOVUPS   64(SI), Z1
	VMOVAPS   Z0, Z2
	VPERMT2PS Z1, Z28, Z0
	VPERMT2PS Z1, Z29, Z2
	WRITE(Z0, 0)
	WRITE(Z2, 192)
	ADDQ $128, SI
	ADDQ $16, DI
	DECQ CX
	JNZ  split4Piece
	VZEROUPPER
	RET

// func split2(dst *byte, x *float32, pieces int, per float32)
TEXT ·split2(SB), NOSPLIT, $0-28
	SPLIT

split2Piece:
	VMOVUPS   (SI), Z0
	VMOVUPS   64(SI), Z1
	VMOVUPS   128(SI), Z2
	VMOVUPS   192(SI), Z3
	VMOVAPS   Z0, Z4
	VMOVAPS   Z2, Z5
	VPERMT2PS Z1, Z28, Z0 // columns 0, 2, … of 32
	VPERMT2PS Z1, Z29, Z4
	VPERMT2PS Z3, Z28, Z2
	VPERMT2PS Z3, Z29, Z5
	VMOVAPS   Z0, Z6
	VMOVAPS   Z4, Z7
	VPERMT2PS Z2, Z28, Z0 // 0, 4, … of 64
	VPERMT2PS Z5, Z28, Z4
	VPERMT2PS Z2, Z29, Z6
	VPERMT2PS Z5, Z29, Z7
	WRITE(Z0, 0)
	WRITE(Z4, 192)
	WRITE(Z6, 384)
	WRITE(Z7, 576)
	ADDQ $256, SI
	ADDQ $16, DI
	DECQ CX
	JNZ  split2Piece
	VZEROUPPER
	RET

// func negativeSums(group *float32, n int)
TEXT ·negativeSums(SB), NOSPLIT, $0-16
	MOVQ         group+0(FP), DI
	MOVQ         n+8(FP), CX
	VPBROADCASTD ·ones<>(SB), Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3
	VPXORD       Z4, Z4, Z4
	VPXORD       Z5, Z5, Z5
	LEAQ         128(DI), SI

negativeSumsLoop:
	VPDPBUSD (SI), Z1, Z2
	VPDPBUSD 64(SI), Z1, Z3
	VPDPBUSD 128(SI), Z1, Z4
	ADDQ     $192, SI
	DECQ     CX
	JNZ      negativeSumsLoop
	VPSLLD    $8, Z4, Z4
	VPADDD    Z4, Z3, Z3
	VPSLLD    $8, Z3, Z3
	VPADDD    Z3, Z2, Z2
	VPSUBD    Z2, Z5, Z2
	VMOVDQU32 Z2, (DI)
	VZEROUPPER
	RET
