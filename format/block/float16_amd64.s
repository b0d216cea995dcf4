#include "textflag.h"

// func float16sAVX2(dst *byte, w *float32, n int)
TEXT ·float16sAVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ n+16(FP), CX

halves:
	VMOVUPS   (SI), Y0
	VCVTPS2PH $0, Y0, X0
	VMOVUPS   X0, (DI)
	ADDQ      $32, SI
	ADDQ      $16, DI
	SUBQ      $8, CX
	JNE       halves
	VZEROUPPER
	RET
