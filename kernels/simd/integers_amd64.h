// What the bodies in integers_amd64.s are put together from.

#define PREPARE \
	MOVQ y+0(FP), DX;       \
	MOVQ w+8(FP), SI;       \
	MOVQ stride+16(FP), R9; \
	LEAQ (R9)(R9*2), R11;   \
	MOVQ quads+32(FP), R12; \
	MOVQ ahead+56(FP), R15

// HALVES prepares masks for the upper half of 16 elements, QUARTERS for the upper quarters.
#define HALVES \
	MOVL  $0xff00, AX; \
	KMOVW AX, K2

#define QUARTERS \
	MOVL  $0x00f0, AX; \
	KMOVW AX, K1;      \
	MOVL  $0x0f00, AX; \
	KMOVW AX, K2;      \
	MOVL  $0xf000, AX; \
	KMOVW AX, K3

// QUAD begins four rows.
#define QUAD \
	MOVQ   SI, DI;            \
	LEAQ   (SI)(R15*1), R13;  \
	MOVQ   x+24(FP), BX;      \
	MOVQ   groups+40(FP), AX; \
	VPXORD Z0, Z0, Z0;        \
	VPXORD Z1, Z1, Z1;        \
	VPXORD Z2, Z2, Z2;        \
	VPXORD Z3, Z3, Z3

// HEAD1 reads the header of a row's block: its scale as float16, its zero-point as a byte.
#define HEAD1(p, q, s, z) \
	VPBROADCASTW p, s; \
	VPBROADCASTB q, z

// HEAD2 and HEAD4 read those of two or four blocks that follow each other.
#define HEAD2(p0, q0, p1, q1, s, z) \
	VPBROADCASTW p0, s;     \
	VPBROADCASTB q0, z;     \
	VPBROADCASTW p1, K2, s; \
	VPBROADCASTB q1, K2, z

#define HEAD4(p0, q0, p1, q1, p2, q2, p3, q3, s, z) \
	VPBROADCASTW p0, s;     \
	VPBROADCASTB q0, z;     \
	VPBROADCASTW p1, K1, s; \
	VPBROADCASTB q1, K1, z; \
	VPBROADCASTW p2, K2, s; \
	VPBROADCASTB q2, K2, z; \
	VPBROADCASTW p3, K3, s; \
	VPBROADCASTB q3, K3, z

#define HEADS1 \
	HEAD1((DI), 2(DI), Y20, X21);               \
	HEAD1((DI)(R9*1), 2(DI)(R9*1), Y22, X23);   \
	HEAD1((DI)(R9*2), 2(DI)(R9*2), Y24, X25);   \
	HEAD1((DI)(R11*1), 2(DI)(R11*1), Y26, X27)

#define HEADS2 \
	HEAD2((DI), 2(DI), 35(DI), 37(DI), Y20, X21);                                   \
	HEAD2((DI)(R9*1), 2(DI)(R9*1), 35(DI)(R9*1), 37(DI)(R9*1), Y22, X23);           \
	HEAD2((DI)(R9*2), 2(DI)(R9*2), 35(DI)(R9*2), 37(DI)(R9*2), Y24, X25);           \
	HEAD2((DI)(R11*1), 2(DI)(R11*1), 35(DI)(R11*1), 37(DI)(R11*1), Y26, X27)

#define HEADS4 \
	HEAD4((DI), 2(DI), 19(DI), 21(DI), 38(DI), 40(DI), 57(DI), 59(DI), Y20, X21); \
	HEAD4((DI)(R9*1), 2(DI)(R9*1), 19(DI)(R9*1), 21(DI)(R9*1), 38(DI)(R9*1), 40(DI)(R9*1), 57(DI)(R9*1), 59(DI)(R9*1), Y22, X23); \
	HEAD4((DI)(R9*2), 2(DI)(R9*2), 19(DI)(R9*2), 21(DI)(R9*2), 38(DI)(R9*2), 40(DI)(R9*2), 57(DI)(R9*2), 59(DI)(R9*2), Y24, X25); \
	HEAD4((DI)(R11*1), 2(DI)(R11*1), 19(DI)(R11*1), 21(DI)(R11*1), 38(DI)(R11*1), 40(DI)(R11*1), 57(DI)(R11*1), 59(DI)(R11*1), Y26, X27)

// BEGIN makes s scale times step, and a, the sum of the lowest limbs, the zero-point times the negative sums in Z31.
#define BEGIN(half, xz, s, a, b, c) \
	VCVTPH2PS half, s;      \
	VPMOVSXBD xz, a;        \
	VMULPS    64(BX), s, s; \
	BIAS(a)                 \
	VPMULLD   Z31, a, a;    \
	VPXORD    b, b, b;      \
	VPXORD    c, c, c

#define BEGINS \
	VMOVDQU64 (BX), Z31;                   \
	BEGIN(Y20, X21, Z16, Z4, Z5, Z6);      \
	BEGIN(Y22, X23, Z17, Z7, Z8, Z9);      \
	BEGIN(Y24, X25, Z18, Z10, Z11, Z12);   \
	BEGIN(Y26, X27, Z19, Z13, Z14, Z15);   \
	ADDQ      $128, BX

// CODES1 reads the codes of one block of 64 bytes, or 64 bytes of a larger one; CODES2 and CODES4 read those of two or
// four blocks. HALF and QUARTER read those of one that has 32 or 16 bytes.
#define CODES1 \
	VMOVDQU64 (DI), Z20;         \
	VMOVDQU64 (DI)(R9*1), Z22;   \
	VMOVDQU64 (DI)(R9*2), Z24;   \
	VMOVDQU64 (DI)(R11*1), Z26

#define CODES2 \
	HALF; \
	VINSERTI64X4 $1, 38(DI), Z20, Z20;        \
	VINSERTI64X4 $1, 38(DI)(R9*1), Z22, Z22;  \
	VINSERTI64X4 $1, 38(DI)(R9*2), Z24, Z24;  \
	VINSERTI64X4 $1, 38(DI)(R11*1), Z26, Z26

#define HALF \
	VMOVDQU64 3(DI), Y20;         \
	VMOVDQU64 3(DI)(R9*1), Y22;   \
	VMOVDQU64 3(DI)(R9*2), Y24;   \
	VMOVDQU64 3(DI)(R11*1), Y26

#define INSERT4(p1, p2, p3, c) \
	VINSERTI32X4 $1, p1, c, c; \
	VINSERTI32X4 $2, p2, c, c; \
	VINSERTI32X4 $3, p3, c, c

#define CODES4 \
	QUARTER; \
	INSERT4(22(DI), 41(DI), 60(DI), Z20);                            \
	INSERT4(22(DI)(R9*1), 41(DI)(R9*1), 60(DI)(R9*1), Z22);          \
	INSERT4(22(DI)(R9*2), 41(DI)(R9*2), 60(DI)(R9*2), Z24);          \
	INSERT4(22(DI)(R11*1), 41(DI)(R11*1), 60(DI)(R11*1), Z26)

#define QUARTER \
	VMOVDQU64 3(DI), X20;         \
	VMOVDQU64 3(DI)(R9*1), X22;   \
	VMOVDQU64 3(DI)(R9*2), X24;   \
	VMOVDQU64 3(DI)(R11*1), X26

// LIMB multiplies one register of each row by a register of the vector, into the sums of its limb.
#define LIMB(at, a, b, c, d, ka, kb, kc, kd) \
	VMOVDQU64 at(BX), Z28;  \
	VPDPBUSD  Z28, a, ka;   \
	VPDPBUSD  Z28, b, kb;   \
	VPDPBUSD  Z28, c, kc;   \
	VPDPBUSD  Z28, d, kd

// LIMBS multiplies by all three limbs.
#define LIMBS(at, a, b, c, d) \
	LIMB(at, a, b, c, d, Z4, Z7, Z10, Z13);      \
	LIMB(at+64, a, b, c, d, Z5, Z8, Z11, Z14);   \
	LIMB(at+128, a, b, c, d, Z6, Z9, Z12, Z15)

// BYTES, NIBBLES and PAIRS multiply a register of codes of eight, four and two bits.
#define BYTES \
	VPXORD Z30, Z20, Z20; \
	VPXORD Z30, Z22, Z22; \
	VPXORD Z30, Z24, Z24; \
	VPXORD Z30, Z26, Z26; \
	LIMBS(0, Z20, Z22, Z24, Z26); \
	ADDQ $192, BX

#define NIBBLES \
	VPSRLW $4, Z20, Z21;  \
	VPSRLW $4, Z22, Z23;  \
	VPSRLW $4, Z24, Z25;  \
	VPSRLW $4, Z26, Z27;  \
	VPANDD Z30, Z20, Z20; \
	VPANDD Z30, Z22, Z22; \
	VPANDD Z30, Z24, Z24; \
	VPANDD Z30, Z26, Z26; \
	LIMBS(0, Z20, Z22, Z24, Z26); \
	VPANDD Z30, Z21, Z21; \
	VPANDD Z30, Z23, Z23; \
	VPANDD Z30, Z25, Z25; \
	VPANDD Z30, Z27, Z27; \
	LIMBS(192, Z21, Z23, Z25, Z27); \
	ADDQ $384, BX

#define PAIR(shift, at) \
	VPSRLW $shift, Z20, Z21; \
	VPSRLW $shift, Z22, Z23; \
	VPSRLW $shift, Z24, Z25; \
	VPSRLW $shift, Z26, Z27; \
	VPANDD Z30, Z21, Z21;    \
	VPANDD Z30, Z23, Z23;    \
	VPANDD Z30, Z25, Z25;    \
	VPANDD Z30, Z27, Z27;    \
	LIMBS(at, Z21, Z23, Z25, Z27)

#define PAIRS \
	PAIR(0, 0);   \
	PAIR(2, 192); \
	PAIR(4, 384); \
	PAIR(6, 576); \
	ADDQ $768, BX

// TAKE adds what the sums of a group are worth to those of the row.
#define TAKE(a, b, c, s, f) \
	VPSLLD      $8, c, c; \
	VPADDD      c, b, b;  \
	VPSLLD      $8, b, b; \
	VPADDD      b, a, a;  \
	VCVTDQ2PS   a, a;     \
	VFMADD231PS a, s, f

#define TAKES \
	TAKE(Z4, Z5, Z6, Z16, Z0);    \
	TAKE(Z7, Z8, Z9, Z17, Z1);    \
	TAKE(Z10, Z11, Z12, Z18, Z2); \
	TAKE(Z13, Z14, Z15, Z19, Z3)

// FETCH prefetches 128 bytes more.
#define FETCH(at) \
	PREFETCHT0 at(R13);      \
	PREFETCHT0 (64+at)(R13)

// ONWARD goes on by n bytes of each row.
#define ONWARD(n) \
	ADDQ $n, DI; \
	ADDQ $(4*n), R13

#define FOLD(z, y) \
	VEXTRACTF64X4 $1, z, Y28; \
	VADDPS        Y28, y, y

// PUT stores the sums of four rows and goes on to the next.
#define PUT \
	FOLD(Z0, Y0); \
	FOLD(Z1, Y1); \
	FOLD(Z2, Y2); \
	FOLD(Z3, Y3); \
	VHADDPS      Y1, Y0, Y0; \
	VHADDPS      Y3, Y2, Y2; \
	VHADDPS      Y2, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS       X1, X0, X0; \
	VMOVUPS      X0, (DX);   \
	ADDQ         $16, DX;    \
	LEAQ         (SI)(R9*4), SI; \
	DECQ         R12
