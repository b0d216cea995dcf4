package hf

import "strings"

// unreadMethods are values of quant_method that transformers or other tools know and that are not read,
// with what their weights are.
var unreadMethods = map[string]string{
	"aqlm":        "sums of vectors from learned codebooks",
	"vptq":        "vectors from learned codebooks",
	"quip":        "vectors of a lattice, rotated",
	"higgs":       "vectors of a lattice, rotated",
	"fp_quant":    "4-bit floats, rotated",
	"spqr":        "integers with sparse outliers",
	"hqq":         "integers with zero-points that are no integers",
	"eetq":        "integers in the order of a GPU kernel",
	"quanto":      "integers or 8-bit floats of optimum-quanto",
	"torchao":     "tensors that torchao serialized",
	"bitnet":      "ternary numbers, four in a byte",
	"sinq":        "integers with scales for rows and columns",
	"quark":       "what AMD Quark stores",
	"metal":       "integers for Metal kernels",
	"fouroversix": "4-bit floats with scales of two kinds",
	"nvfp4":       "4-bit floats in the order of a GPU kernel",
	"gguf":        "blocks of GGUF",
	"gemma":       "integers of Gemma's own tools",
	"exl2":        "integers of ExLlama, of several widths in a matrix",
	"exl3":        "paths through a trellis, rotated",
	"marlin":      "integers in the order of a GPU kernel",
	"qqq":         "integers in the order of a GPU kernel",
	"bitblas":     "integers in the order of a GPU kernel",
	"squeezellm":  "values from a list of each row, with sparse outliers",
}

// unreadable says, of a method that is not read, what it is and how to get weights that are.
func unreadable(method string) string {
	what, known := unreadMethods[strings.ToLower(method)]
	if !known {
		return ""
	}
	return " (" + what + "); " + instead
}

// instead is how to get weights that can be read. transformers dequantizes few methods, and those that it
// does are read here.
const instead = "take the checkpoint that this one was made from: its model card names it, most often as base_model"

// dequantize is how transformers makes weights of what bitsandbytes quantized.
const dequantize = "AutoModelForCausalLM.from_pretrained(DIR).dequantize().save_pretrained(NEW) in transformers"
