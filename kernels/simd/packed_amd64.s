#include "textflag.h"

// Products of packed rows with one vector, two rows at a time: at DI and R8, their sums in the even and the odd two of
// accumulators 0 to 3. Weights are decoded in registers, exactly. All functions have the same arguments:
//
//	y *float32       [pairs][2]
//	w *byte, stride  rows, stride bytes apart
//	x *float32       as Arrange orders it
//	pairs            of rows
//	blocks, units    of a row: blocks, and steps within a block
//	ahead            how many bytes before their use rows are prefetched

DATA ·counts<>+0(SB)/4, $0.0
DATA ·counts<>+4(SB)/4, $1.0
DATA ·counts<>+8(SB)/4, $2.0
DATA ·counts<>+12(SB)/4, $3.0
DATA ·counts<>+16(SB)/4, $4.0
DATA ·counts<>+20(SB)/4, $5.0
DATA ·counts<>+24(SB)/4, $6.0
DATA ·counts<>+28(SB)/4, $7.0
DATA ·counts<>+32(SB)/4, $8.0
DATA ·counts<>+36(SB)/4, $9.0
DATA ·counts<>+40(SB)/4, $10.0
DATA ·counts<>+44(SB)/4, $11.0
DATA ·counts<>+48(SB)/4, $12.0
DATA ·counts<>+52(SB)/4, $13.0
DATA ·counts<>+56(SB)/4, $14.0
DATA ·counts<>+60(SB)/4, $15.0
GLOBL ·counts<>(SB), RODATA|NOPTR, $64

// codes of two bits, again and again
DATA ·quarters<>+0(SB)/4, $0.0
DATA ·quarters<>+4(SB)/4, $1.0
DATA ·quarters<>+8(SB)/4, $2.0
DATA ·quarters<>+12(SB)/4, $3.0
DATA ·quarters<>+16(SB)/4, $0.0
DATA ·quarters<>+20(SB)/4, $1.0
DATA ·quarters<>+24(SB)/4, $2.0
DATA ·quarters<>+28(SB)/4, $3.0
DATA ·quarters<>+32(SB)/4, $0.0
DATA ·quarters<>+36(SB)/4, $1.0
DATA ·quarters<>+40(SB)/4, $2.0
DATA ·quarters<>+44(SB)/4, $3.0
DATA ·quarters<>+48(SB)/4, $0.0
DATA ·quarters<>+52(SB)/4, $1.0
DATA ·quarters<>+56(SB)/4, $2.0
DATA ·quarters<>+60(SB)/4, $3.0
GLOBL ·quarters<>(SB), RODATA|NOPTR, $64

DATA ·nibble<>+0(SB)/4, $15
GLOBL ·nibble<>(SB), RODATA|NOPTR, $4

#define ARGUMENTS \
	MOVQ y+0(FP), DX;       \
	MOVQ w+8(FP), SI;       \
	MOVQ stride+16(FP), R9; \
	MOVQ x+24(FP), R10;     \
	MOVQ pairs+32(FP), R11; \
	MOVQ blocks+40(FP), R12; \
	MOVQ ahead+56(FP), R15

// PAIR begins two rows.
#define PAIR \
	MOVQ SI, DI;         \
	LEAQ (SI)(R9*1), R8; \
	MOVQ R10, BX;        \
	LEAQ (SI)(R15*1), R13; \
	MOVQ R12, AX

#define CLEAR512 \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	VPXORD Z2, Z2, Z2; \
	VPXORD Z3, Z3, Z3

#define CLEAR2 \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3

// STORE2 stores the sums of Y0 and Y1, and of Y2 and Y3, and goes on to the next pair.
#define STORE2 \
	VADDPS       Y1, Y0, Y0; \
	VADDPS       Y3, Y2, Y2; \
	VHADDPS      Y2, Y0, Y0; \
	VHADDPS      Y0, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS       X1, X0, X0; \
	VMOVLPS      X0, (DX);   \
	ADDQ         $8, DX;     \
	LEAQ         (SI)(R9*2), SI; \
	DECQ         R11

#define STORE512 \
	VADDPS        Z1, Z0, Z0; \
	VADDPS        Z3, Z2, Z2; \
	VEXTRACTF64X4 $1, Z0, Y1; \
	VEXTRACTF64X4 $1, Z2, Y3; \
	STORE2

// SCALE512 sets s to the scale of the block at p, and z to its zero-point.
#define SCALE512(p, ys, s, xz, z) \
	VPBROADCASTW (p), ys;  \
	VCVTPH2PS    ys, s;    \
	VPBROADCASTB 2(p), xz; \
	VPMOVSXBD    xz, z;    \
	VCVTDQ2PS    z, z;     \
	ADDQ         $3, p

#define SCALE2(p, xs, s, xz, z) \
	VPBROADCASTW (p), xs;  \
	VCVTPH2PS    xs, s;    \
	VPBROADCASTB 2(p), xz; \
	VPMOVSXBD    xz, z;    \
	VCVTDQ2PS    z, z;     \
	ADDQ         $3, p

// TABLE512 makes z the weights of the codes in t: (t−z)·s.
#define TABLE512(t, s, z) \
	VSUBPS z, t, z; \
	VMULPS s, z, z

// Steps of 32 codes of four bits: of 16 bytes, all low halves and then all high ones.
// func dot4AVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dot4AVX512(SB), NOSPLIT, $0-64
	ARGUMENTS
	VMOVUPS ·counts<>(SB), Z31

dot4AVX512Pair:
	PAIR
	CLEAR512

dot4AVX512Block:
	SCALE512(DI, Y16, Z16, X17, Z17)
	TABLE512(Z31, Z16, Z17)
	SCALE512(R8, Y18, Z18, X19, Z19)
	TABLE512(Z31, Z18, Z19)
	ADDQ $6, R13
	MOVQ units+48(FP), CX

dot4AVX512Unit:
	VPMOVZXBD   (DI), Z20
	VPMOVZXBD   (R8), Z22
	VPSRLD      $4, Z20, Z21
	VPSRLD      $4, Z22, Z23
	VMOVUPS     (BX), Z24
	VMOVUPS     64(BX), Z25
	VPERMPS     Z17, Z20, Z20
	VPERMPS     Z17, Z21, Z21
	VPERMPS     Z19, Z22, Z22
	VPERMPS     Z19, Z23, Z23
	VFMADD231PS Z20, Z24, Z0
	VFMADD231PS Z21, Z25, Z1
	VFMADD231PS Z22, Z24, Z2
	VFMADD231PS Z23, Z25, Z3
	ADDQ        $16, DI
	ADDQ        $16, R8
	PREFETCHT0  (R13)
	ADDQ        $32, R13
	ADDQ        $128, BX
	DECQ CX
	JNZ  dot4AVX512Unit
	DECQ AX
	JNZ  dot4AVX512Block
	STORE512
	JNZ dot4AVX512Pair
	VZEROUPPER
	RET

// Steps of 64 codes of two bits: of 16 bytes, all lowest quarters, then all next ones.
// func dot2AVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dot2AVX512(SB), NOSPLIT, $0-64
	ARGUMENTS
	VMOVUPS ·quarters<>(SB), Z31

dot2AVX512Pair:
	PAIR
	CLEAR512

dot2AVX512Block:
	SCALE512(DI, Y16, Z16, X17, Z17)
	TABLE512(Z31, Z16, Z17)
	SCALE512(R8, Y18, Z18, X19, Z19)
	TABLE512(Z31, Z18, Z19)
	ADDQ $6, R13
	MOVQ units+48(FP), CX

dot2AVX512Unit:
	VPMOVZXBD   (DI), Z20
	VPMOVZXBD   (R8), Z22
	VMOVUPS     0(BX), Z24
	VPERMPS     Z17, Z20, Z21
	VPERMPS     Z19, Z22, Z23
	VFMADD231PS Z21, Z24, Z0
	VFMADD231PS Z23, Z24, Z2
	VPSRLD      $2, Z20, Z20
	VPSRLD      $2, Z22, Z22
	VMOVUPS     64(BX), Z24
	VPERMPS     Z17, Z20, Z21
	VPERMPS     Z19, Z22, Z23
	VFMADD231PS Z21, Z24, Z1
	VFMADD231PS Z23, Z24, Z3
	VPSRLD      $2, Z20, Z20
	VPSRLD      $2, Z22, Z22
	VMOVUPS     128(BX), Z24
	VPERMPS     Z17, Z20, Z21
	VPERMPS     Z19, Z22, Z23
	VFMADD231PS Z21, Z24, Z0
	VFMADD231PS Z23, Z24, Z2
	VPSRLD      $2, Z20, Z20
	VPSRLD      $2, Z22, Z22
	VMOVUPS     192(BX), Z24
	VPERMPS     Z17, Z20, Z21
	VPERMPS     Z19, Z22, Z23
	VFMADD231PS Z21, Z24, Z1
	VFMADD231PS Z23, Z24, Z3
	ADDQ        $16, DI
	ADDQ        $16, R8
	PREFETCHT0  (R13)
	ADDQ        $32, R13
	ADDQ        $256, BX
	DECQ CX
	JNZ  dot2AVX512Unit
	DECQ AX
	JNZ  dot2AVX512Block
	STORE512
	JNZ dot2AVX512Pair
	VZEROUPPER
	RET

// Steps of 32 codes of eight bits. q·s − z·s is exact, and so are both products.
// func dot8AVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dot8AVX512(SB), NOSPLIT, $0-64
	ARGUMENTS

dot8AVX512Pair:
	PAIR
	CLEAR512

dot8AVX512Block:
	SCALE512(DI, Y16, Z16, X17, Z17)
	SCALE512(R8, Y18, Z18, X19, Z19)
	VMULPS Z16, Z17, Z17
	VMULPS Z18, Z19, Z19
	ADDQ $6, R13
	MOVQ units+48(FP), CX

dot8AVX512Unit:
	VPMOVSXBD   (DI), Z20
	VPMOVSXBD   16(DI), Z21
	VPMOVSXBD   (R8), Z22
	VPMOVSXBD   16(R8), Z23
	VCVTDQ2PS   Z20, Z20
	VCVTDQ2PS   Z21, Z21
	VCVTDQ2PS   Z22, Z22
	VCVTDQ2PS   Z23, Z23
	VFMSUB213PS Z17, Z16, Z20
	VFMSUB213PS Z17, Z16, Z21
	VFMSUB213PS Z19, Z18, Z22
	VFMSUB213PS Z19, Z18, Z23
	VMOVUPS     (BX), Z24
	VMOVUPS     64(BX), Z25
	VFMADD231PS Z20, Z24, Z0
	VFMADD231PS Z21, Z25, Z1
	VFMADD231PS Z22, Z24, Z2
	VFMADD231PS Z23, Z25, Z3
	ADDQ        $32, DI
	ADDQ        $32, R8
	PREFETCHT0  (R13)
	ADDQ        $64, R13
	ADDQ        $128, BX
	DECQ CX
	JNZ  dot8AVX512Unit
	DECQ AX
	JNZ  dot8AVX512Block
	STORE512
	JNZ dot8AVX512Pair
	VZEROUPPER
	RET

// Rows of floats: steps of 16, which blocks counts.
// func dotHalfAVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dotHalfAVX512(SB), NOSPLIT, $0-64
	ARGUMENTS

dotHalfAVX512Pair:
	PAIR
	CLEAR512

dotHalfAVX512Unit:
	VCVTPH2PS   (DI), Z20
	VCVTPH2PS   (R8), Z22
	VMOVUPS     (BX), Z24
	VFMADD231PS Z20, Z24, Z0
	VFMADD231PS Z22, Z24, Z2
	ADDQ        $32, DI
	ADDQ        $32, R8
	PREFETCHT0  (R13)
	ADDQ        $64, R13
	ADDQ        $64, BX
	DECQ AX
	JNZ  dotHalfAVX512Unit
	STORE512
	JNZ dotHalfAVX512Pair
	VZEROUPPER
	RET

// func dotBrainAVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dotBrainAVX512(SB), NOSPLIT, $0-64
	ARGUMENTS

dotBrainAVX512Pair:
	PAIR
	CLEAR512

dotBrainAVX512Unit:
	VPMOVZXWD   (DI), Z20
	VPMOVZXWD   (R8), Z22
	VPSLLD      $16, Z20, Z20
	VPSLLD      $16, Z22, Z22
	VMOVUPS     (BX), Z24
	VFMADD231PS Z20, Z24, Z0
	VFMADD231PS Z22, Z24, Z2
	ADDQ        $32, DI
	ADDQ        $32, R8
	PREFETCHT0  (R13)
	ADDQ        $64, R13
	ADDQ        $64, BX
	DECQ AX
	JNZ  dotBrainAVX512Unit
	STORE512
	JNZ dotBrainAVX512Pair
	VZEROUPPER
	RET

// func dotFloatAVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dotFloatAVX512(SB), NOSPLIT, $0-64
	ARGUMENTS

dotFloatAVX512Pair:
	PAIR
	CLEAR512

dotFloatAVX512Unit:
	VMOVUPS     (BX), Z24
	VFMADD231PS (DI), Z24, Z0
	VFMADD231PS (R8), Z24, Z2
	ADDQ        $64, DI
	ADDQ        $64, R8
	PREFETCHT0  (R13)
	PREFETCHT0  64(R13)
	ADDQ        $128, R13
	ADDQ        $64, BX
	DECQ AX
	JNZ  dotFloatAVX512Unit
	STORE512
	JNZ dotFloatAVX512Pair
	VZEROUPPER
	RET

// The same with AVX2: lanes of 8, so that steps have half as many codes.
// func dot4AVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dot4AVX2(SB), NOSPLIT, $0-64
	ARGUMENTS
	VPBROADCASTD ·nibble<>(SB), Y15

dot4AVX2Pair:
	PAIR
	CLEAR2

dot4AVX2Block:
	SCALE2(DI, X4, Y4, X5, Y5)
	SCALE2(R8, X6, Y6, X7, Y7)
	VMULPS Y4, Y5, Y5
	VMULPS Y6, Y7, Y7
	ADDQ $6, R13
	MOVQ units+48(FP), CX

dot4AVX2Unit:
	VPMOVZXBD   (DI), Y8
	VPMOVZXBD   (R8), Y9
	VPAND       Y15, Y8, Y10
	VPAND       Y15, Y9, Y11
	VPSRLD      $4, Y8, Y8
	VPSRLD      $4, Y9, Y9
	VCVTDQ2PS   Y10, Y10
	VCVTDQ2PS   Y11, Y11
	VFMSUB213PS Y5, Y4, Y10
	VFMSUB213PS Y7, Y6, Y11
	VMOVUPS     0(BX), Y12
	VFMADD231PS Y10, Y12, Y0
	VFMADD231PS Y11, Y12, Y2
	VCVTDQ2PS   Y8, Y8
	VCVTDQ2PS   Y9, Y9
	VFMSUB213PS Y5, Y4, Y8
	VFMSUB213PS Y7, Y6, Y9
	VMOVUPS     32(BX), Y12
	VFMADD231PS Y8, Y12, Y1
	VFMADD231PS Y9, Y12, Y3
	ADDQ        $8, DI
	ADDQ        $8, R8
	PREFETCHT0  (R13)
	ADDQ        $16, R13
	ADDQ        $64, BX
	DECQ CX
	JNZ  dot4AVX2Unit
	DECQ AX
	JNZ  dot4AVX2Block
	STORE2
	JNZ dot4AVX2Pair
	VZEROUPPER
	RET

// func dot2AVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dot2AVX2(SB), NOSPLIT, $0-64
	ARGUMENTS
	VMOVUPS ·quarters<>(SB), Y15

dot2AVX2Pair:
	PAIR
	CLEAR2

dot2AVX2Block:
	SCALE2(DI, X4, Y4, X5, Y5)
	SCALE2(R8, X6, Y6, X7, Y7)
	VSUBPS Y5, Y15, Y5
	VMULPS Y4, Y5, Y5
	VSUBPS Y7, Y15, Y7
	VMULPS Y6, Y7, Y7
	ADDQ $6, R13
	MOVQ units+48(FP), CX

dot2AVX2Unit:
	VPMOVZXBD   (DI), Y8
	VPMOVZXBD   (R8), Y9
	VMOVUPS     0(BX), Y12
	VPERMPS     Y5, Y8, Y10
	VPERMPS     Y7, Y9, Y11
	VFMADD231PS Y10, Y12, Y0
	VFMADD231PS Y11, Y12, Y2
	VPSRLD      $2, Y8, Y8
	VPSRLD      $2, Y9, Y9
	VMOVUPS     32(BX), Y12
	VPERMPS     Y5, Y8, Y10
	VPERMPS     Y7, Y9, Y11
	VFMADD231PS Y10, Y12, Y1
	VFMADD231PS Y11, Y12, Y3
	VPSRLD      $2, Y8, Y8
	VPSRLD      $2, Y9, Y9
	VMOVUPS     64(BX), Y12
	VPERMPS     Y5, Y8, Y10
	VPERMPS     Y7, Y9, Y11
	VFMADD231PS Y10, Y12, Y0
	VFMADD231PS Y11, Y12, Y2
	VPSRLD      $2, Y8, Y8
	VPSRLD      $2, Y9, Y9
	VMOVUPS     96(BX), Y12
	VPERMPS     Y5, Y8, Y10
	VPERMPS     Y7, Y9, Y11
	VFMADD231PS Y10, Y12, Y1
	VFMADD231PS Y11, Y12, Y3
	ADDQ        $8, DI
	ADDQ        $8, R8
	PREFETCHT0  (R13)
	ADDQ        $16, R13
	ADDQ        $128, BX
	DECQ CX
	JNZ  dot2AVX2Unit
	DECQ AX
	JNZ  dot2AVX2Block
	STORE2
	JNZ dot2AVX2Pair
	VZEROUPPER
	RET

// func dot8AVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dot8AVX2(SB), NOSPLIT, $0-64
	ARGUMENTS

dot8AVX2Pair:
	PAIR
	CLEAR2

dot8AVX2Block:
	SCALE2(DI, X4, Y4, X5, Y5)
	SCALE2(R8, X6, Y6, X7, Y7)
	VMULPS Y4, Y5, Y5
	VMULPS Y6, Y7, Y7
	ADDQ $6, R13
	MOVQ units+48(FP), CX

dot8AVX2Unit:
	VPMOVSXBD   (DI), Y8
	VPMOVSXBD   (R8), Y9
	VPMOVSXBD   8(DI), Y10
	VPMOVSXBD   8(R8), Y11
	VCVTDQ2PS   Y8, Y8
	VCVTDQ2PS   Y9, Y9
	VFMSUB213PS Y5, Y4, Y8
	VFMSUB213PS Y7, Y6, Y9
	VMOVUPS     0(BX), Y12
	VFMADD231PS Y8, Y12, Y0
	VFMADD231PS Y9, Y12, Y2
	VCVTDQ2PS   Y10, Y10
	VCVTDQ2PS   Y11, Y11
	VFMSUB213PS Y5, Y4, Y10
	VFMSUB213PS Y7, Y6, Y11
	VMOVUPS     32(BX), Y12
	VFMADD231PS Y10, Y12, Y1
	VFMADD231PS Y11, Y12, Y3
	ADDQ        $16, DI
	ADDQ        $16, R8
	PREFETCHT0  (R13)
	ADDQ        $32, R13
	ADDQ        $64, BX
	DECQ CX
	JNZ  dot8AVX2Unit
	DECQ AX
	JNZ  dot8AVX2Block
	STORE2
	JNZ dot8AVX2Pair
	VZEROUPPER
	RET

// func dotHalfAVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dotHalfAVX2(SB), NOSPLIT, $0-64
	ARGUMENTS

dotHalfAVX2Pair:
	PAIR
	CLEAR2

dotHalfAVX2Unit:
	VCVTPH2PS   (DI), Y8
	VCVTPH2PS   (R8), Y9
	VCVTPH2PS   16(DI), Y10
	VCVTPH2PS   16(R8), Y11
	VMOVUPS     (BX), Y12
	VMOVUPS     32(BX), Y13
	VFMADD231PS Y8, Y12, Y0
	VFMADD231PS Y9, Y12, Y2
	VFMADD231PS Y10, Y13, Y1
	VFMADD231PS Y11, Y13, Y3
	ADDQ        $32, DI
	ADDQ        $32, R8
	PREFETCHT0  (R13)
	ADDQ        $64, R13
	ADDQ        $64, BX
	DECQ AX
	JNZ  dotHalfAVX2Unit
	STORE2
	JNZ dotHalfAVX2Pair
	VZEROUPPER
	RET

// func dotBrainAVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dotBrainAVX2(SB), NOSPLIT, $0-64
	ARGUMENTS

dotBrainAVX2Pair:
	PAIR
	CLEAR2

dotBrainAVX2Unit:
	VPMOVZXWD   (DI), Y8
	VPMOVZXWD   (R8), Y9
	VPMOVZXWD   16(DI), Y10
	VPMOVZXWD   16(R8), Y11
	VPSLLD      $16, Y8, Y8
	VPSLLD      $16, Y9, Y9
	VPSLLD      $16, Y10, Y10
	VPSLLD      $16, Y11, Y11
	VMOVUPS     (BX), Y12
	VMOVUPS     32(BX), Y13
	VFMADD231PS Y8, Y12, Y0
	VFMADD231PS Y9, Y12, Y2
	VFMADD231PS Y10, Y13, Y1
	VFMADD231PS Y11, Y13, Y3
	ADDQ        $32, DI
	ADDQ        $32, R8
	PREFETCHT0  (R13)
	ADDQ        $64, R13
	ADDQ        $64, BX
	DECQ AX
	JNZ  dotBrainAVX2Unit
	STORE2
	JNZ dotBrainAVX2Pair
	VZEROUPPER
	RET

// func dotFloatAVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
TEXT ·dotFloatAVX2(SB), NOSPLIT, $0-64
	ARGUMENTS

dotFloatAVX2Pair:
	PAIR
	CLEAR2

dotFloatAVX2Unit:
	VMOVUPS     (BX), Y12
	VMOVUPS     32(BX), Y13
	VFMADD231PS (DI), Y12, Y0
	VFMADD231PS (R8), Y12, Y2
	VFMADD231PS 32(DI), Y13, Y1
	VFMADD231PS 32(R8), Y13, Y3
	ADDQ        $64, DI
	ADDQ        $64, R8
	PREFETCHT0  (R13)
	PREFETCHT0  64(R13)
	ADDQ        $128, R13
	ADDQ        $64, BX
	DECQ AX
	JNZ  dotFloatAVX2Unit
	STORE2
	JNZ dotFloatAVX2Pair
	VZEROUPPER
	RET
