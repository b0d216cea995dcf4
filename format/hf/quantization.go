package hf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// quantization is what a checkpoint says of how its weights were quantized. Which of them were is not
// there: the names and types of the tensors tell.
type quantization struct {
	method    string // quant_method
	where     string // the file, and in config.json the key, for errors
	bits      int    // of a code, GPTQ and AWQ; 0: it differs from matrix to matrix
	group     int    // columns that share a scale, GPTQ and AWQ; −1: all of a row; 0: it differs
	lessOne   bool   // zero-points are stored less one, GPTQ
	scattered bool   // the columns of a group do not lie together: a list says which they are
	block     [2]int // rows and columns that share a scale, in block-wise float8; 0: none are
	groups    []int  // compressed-tensors: the sizes that groups may have
}

// by reports whether one of the methods quantized the weights.
func (q *quantization) by(methods ...string) bool {
	return q != nil && slices.Contains(methods, q.method)
}

// The values of quant_method that are read.
const (
	methodGPTQ       = "gptq"
	methodAWQ        = "awq"
	methodFP8        = "fp8"
	methodFBGEMM     = "fbgemm_fp8"
	methodCompressed = "compressed-tensors"
	methodBnB        = "bitsandbytes"
	methodMXFP4      = "mxfp4"
	methodMXFP8      = "mxfp8"
	methodModelOpt   = "modelopt"
	methodAutoRound  = "auto-round"
	methodMLX        = "mlx"
)

// quantizers read the keys of a method.
var quantizers = map[string]func(*quantization, *object){
	methodGPTQ:       (*quantization).readGPTQ,
	methodAWQ:        (*quantization).readAWQ,
	methodFP8:        (*quantization).readFP8,
	methodFBGEMM:     func(*quantization, *object) {}, // its tensors tell all
	methodCompressed: (*quantization).readCompressed,
	methodBnB:        (*quantization).readBnB,
	methodMXFP4:      (*quantization).readMXFP4,
	methodMXFP8:      (*quantization).readFP8,
	methodModelOpt:   (*quantization).readModelOpt,
	methodAutoRound:  (*quantization).readAutoRound,
	methodMLX:        (*quantization).readMLX,
}

const supportedMethods = "fp8, fbgemm_fp8, mxfp8, mxfp4, bitsandbytes, gptq of 2, 3, 4 or 8 bits, awq of 4 bits, auto-round in the formats of gptq and awq, compressed-tensors of 4- and 8-bit floats and of integers of 2 to 8 bits, modelopt of 4- and 8-bit floats, mlx"

// methodNames are other names of methods.
var methodNames = map[string]string{
	"compressed_tensors": methodCompressed,
	"intel/auto-round":   methodAutoRound,
	"auto_round":         methodAutoRound,
	"modelopt_fp4":       methodModelOpt,
	"modelopt_mixed":     methodModelOpt,
}

// unnamed tells the method of a configuration without quant_method from its other keys.
func unnamed(o *object) string {
	switch {
	case o.has("load_in_4bit"), o.has("load_in_8bit"):
		return methodBnB
	case o.has("quant_algo"):
		return methodModelOpt
	case o.has("group_size") && o.has("bits"):
		return methodMLX
	}
	return ""
}

// readQuantization reads a quantization_config; method is what an absent quant_method means.
func readQuantization(o *object, where, method string) (*quantization, error) {
	q := &quantization{where: where, method: o.string("quant_method", cmp.Or(method, unnamed(o)))}
	if name, ok := methodNames[q.method]; ok {
		q.method = name
	}
	if q.method == methodFP8 && o.has("quant_algo") {
		q.method = methodModelOpt
	}
	read, ok := quantizers[q.method]
	if err := o.firstError(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: quant_method %q is not supported%s; supported: %s, and weights that were not quantized", where, q.method, unreadable(q.method), supportedMethods)
	}
	read(q, o)
	o.refuse(decisive, "it may change what the codes stand for, and is not supported")
	return q, o.firstError()
}

// decisive are words in keys of a quantization_config that may change what the codes stand for. All
// others that are not read are records of how they came about, of which every tool writes its own.
var decisive = []string{"rotation", "transform_", "hadamard", "codebook", "svd", "outlier"}

// quantizationFiles say in older checkpoints, and in those of modelopt, what config.json says else.
var quantizationFiles = []struct {
	name, method string
	inner        string // the key of the object that says it; "": the file is that object
}{
	{"quantize_config.json", methodGPTQ, ""},
	{"quant_config.json", methodAWQ, ""},
	{"hf_quant_config.json", methodModelOpt, "quantization"},
}

// readQuantizationFile looks for a file beside config.json that tells how the weights were quantized, if
// there are any that were.
func (c *Checkpoint) readQuantizationFile(dir string) error {
	tool, ok := c.shards.quantizedBy()
	if !ok || c.config.quant != nil {
		return nil
	}
	for _, f := range quantizationFiles {
		path := filepath.Join(dir, f.name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.files = append(c.files, File{path, int64(len(data))})
		o, err := parseDocument(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if f.inner != "" {
			if o = o.object(f.inner); o == nil {
				return fmt.Errorf("%s: key %q is missing", path, f.inner)
			}
		}
		if c.config.quant, err = readQuantization(o, f.name, f.method); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.config.ignored = append(c.config.ignored, o.unread()...)
		return nil
	}
	return fmt.Errorf("%s: tensors were quantized%s, but config.json has no quantization_config, and none of %s is there; fetch the file that is missing", dir, tool, filesThatTell())
}

func filesThatTell() string {
	var names []string
	for _, f := range quantizationFiles {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// marks are tensors by whose names weights are known to be quantized, and by what.
var marks = []struct{ suffix, by string }{
	{".qweight", ""},
	{".weight_packed", " by compressed-tensors"},
	{".quant_state.bitsandbytes__nf4", " by bitsandbytes"},
	{".quant_state.bitsandbytes__fp4", " by bitsandbytes"},
	{".SCB", " by bitsandbytes"},
	{".weight_scale_2", " by modelopt"},
	{"_blocks", " to mxfp4"},
	{".weight_scale", ""},
	{".weight_scale_inv", ""},
	{".W_q", " by hqq"},
	{".scales", " by mlx"},
}

// quantizedBy says what seems to have quantized the weights; ok is false if nothing did.
func (s *shards) quantizedBy() (by string, ok bool) {
	for _, m := range marks {
		for name := range s.tensors {
			if strings.HasSuffix(name, m.suffix) {
				return m.by, true
			}
		}
	}
	return "", false
}

func (q *quantization) readGPTQ(o *object) {
	format := o.string("checkpoint_format", o.string("format", "gptq"))
	switch format {
	case "gptq":
		q.lessOne = true
	case "gptq_v2":
	default:
		o.fail("checkpoint_format", "%q is not supported; supported: gptq, gptq_v2", format)
	}
	if o.bool("is_marlin_format", false) {
		o.fail("is_marlin_format", "the order of Marlin is not supported; supported: gptq, gptq_v2")
	}
	for _, key := range []string{"pack_dtype", "packing_dtype"} {
		if t := strings.TrimPrefix(o.string(key, "int32"), "torch."); t != "int32" {
			o.fail(key, "codes packed in %s are not supported; supported: int32", t)
		}
	}
	q.scattered = o.bool("desc_act", false)
	q.readBits(o, 2, 3, 4, 8)
}

func (q *quantization) readAWQ(o *object) {
	o.alias("bits", "w_bit")
	o.alias("group_size", "q_group_size")
	o.alias("version", "format")
	if v := strings.ToLower(o.string("version", "gemm")); v != "gemm" {
		o.fail("version", "%q is not supported; supported: gemm", v)
	}
	if b := o.string("backend", "autoawq"); b == "llm-awq" {
		o.fail("backend", "the order of llm-awq is not supported; supported: autoawq with version gemm")
	}
	q.readBits(o, 4)
}

// readBits reads the width of a code and the size of a group.
func (q *quantization) readBits(o *object, supported ...int) {
	q.bits = o.size("bits", 4)
	if !slices.Contains(supported, q.bits) {
		o.fail("bits", "codes of %d bits are not supported; supported: %v", q.bits, supported)
	}
	q.group = o.int("group_size", 128)
	if q.group != -1 && (q.group < 1 || q.group > 1<<24) {
		o.fail("group_size", "want a number above 0, or −1 for whole rows, have %d", q.group)
	}
	if t := o.string("data_type", "int"); !strings.HasPrefix(t, "int") { // AutoRound's
		o.fail("data_type", "codes of type %q are not supported; supported: int", t)
	}
	for _, key := range []string{"dynamic", "extra_config"} { // settings of single matrices, as GPTQModel and AutoRound write them
		if v := o.value(key); v == nil || trivial(v) {
			continue
		}
		q.group = 0
		if q.method == methodGPTQ {
			q.bits = 0
		}
	}
}

func (q *quantization) readFP8(o *object) {
	q.readBlock(o, "weight_block_size")
}

// readBlock reads the rows and columns of a block, if they are there.
func (q *quantization) readBlock(o *object, key string) {
	list, ok := o.ints(key)
	switch {
	case !ok:
	case len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<24:
		o.fail(key, "want two numbers above 0, have %v", list)
	default:
		q.block = [2]int(list)
	}
}
