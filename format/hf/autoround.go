package hf

import "strings"

// readAutoRound reads what AutoRound says of weights that it packs as other tools do.
func (q *quantization) readAutoRound(o *object) {
	format := o.string("packing_format", "auto_round:auto_gptq")
	kind := o.string("data_type", "int")
	q.readPacking(o, format, kind)
	if q.method == methodCompressed {
		q.groups = append(q.groups, o.size("group_size", 32))
	}
}

func (q *quantization) readPacking(o *object, format, kind string) {
	packing := format
	format = strings.TrimPrefix(format, "auto_round:")
	switch {
	case format == "llm_compressor" && (strings.HasPrefix(kind, "mx_fp") || strings.HasPrefix(kind, "nv_fp")):
		q.method = methodCompressed
	case format == "fp8_static" || format == "fp8":
		q.method = methodFP8
	case !strings.HasPrefix(kind, "int"):
		o.fail("data_type", "%q is not supported; supported: int", kind)
	case format == "auto_gptq" || format == "gptq" || format == "auto":
		q.method, q.lessOne = methodGPTQ, true
		q.readBits(o, 2, 3, 4, 5, 6, 7, 8)
	case format == "auto_round" || format == "gptqmodel":
		q.method = methodGPTQ
		q.readBits(o, 2, 3, 4, 5, 6, 7, 8)
	case format == "auto_awq" || format == "awq":
		q.method = methodAWQ
		q.readBits(o, 4)
	case format == "mlx":
		q.method = methodMLX
	default:
		o.fail("packing_format", "%q is not supported; supported: auto_round, with or without :auto_gptq, :gptqmodel, :auto_awq, :mlx, :fp8_static, :llm_compressor; %s", packing, instead)
	}
}
