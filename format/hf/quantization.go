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

// The values of quant_method that are read.
const (
	methodGPTQ       = "gptq"
	methodAWQ        = "awq"
	methodFP8        = "fp8"
	methodFBGEMM     = "fbgemm_fp8"
	methodCompressed = "compressed-tensors"
)

// quantizers read the keys of a method.
var quantizers = map[string]func(*quantization, *object){
	methodGPTQ:       (*quantization).readGPTQ,
	methodAWQ:        (*quantization).readAWQ,
	methodFP8:        (*quantization).readFP8,
	methodFBGEMM:     func(*quantization, *object) {}, // its tensors tell all
	methodCompressed: (*quantization).readCompressed,
}

const supportedMethods = "fp8, fbgemm_fp8, gptq of 2, 4 or 8 bits, awq of 4 bits, compressed-tensors of 8-bit floats and of 2-, 4- or 8-bit integers"

// readQuantization reads a quantization_config; method is what an absent quant_method means.
func readQuantization(o *object, where, method string) (*quantization, error) {
	q := &quantization{where: where, method: o.string("quant_method", method)}
	switch q.method {
	case "compressed_tensors":
		q.method = methodCompressed
	case "auto-round", "intel/auto-round":
		q.method = autoRoundMethod(o)
	}
	read, ok := quantizers[q.method]
	if err := o.firstError(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: quant_method %q is not supported; supported: %s, and weights that were not quantized", where, q.method, supportedMethods)
	}
	read(q, o)
	return q, o.firstError()
}

// autoRoundMethod returns the method whose tensors AutoRound wrote. How it found the codes, which the
// other keys record, changes nothing.
func autoRoundMethod(o *object) string {
	packing := o.string("packing_format", "auto_round:gptq")
	switch strings.TrimPrefix(strings.TrimPrefix(packing, "auto_round:"), "auto_") {
	case "gptq":
		return methodGPTQ
	case "awq":
		return methodAWQ
	}
	o.fail("packing_format", "%q is not supported; supported: auto_round:auto_gptq, auto_round:auto_awq", packing)
	return methodGPTQ
}

// quantizationFiles say in older checkpoints what config.json says now.
var quantizationFiles = []struct{ name, method string }{
	{"quantize_config.json", methodGPTQ},
	{"quant_config.json", methodAWQ},
}

// readQuantizationFile looks for a file beside config.json that tells how the weights were quantized, if
// there are any that were.
func (c *Checkpoint) readQuantizationFile(dir string) error {
	packed := false
	for name := range c.shards.tensors {
		packed = packed || strings.HasSuffix(name, ".qweight")
	}
	if !packed || c.config.quant != nil {
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
		if c.config.quant, err = readQuantization(o, f.name, f.method); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.config.ignored = append(c.config.ignored, o.unread()...)
		return nil
	}
	return fmt.Errorf("%s: tensors were quantized, but neither config.json has a quantization_config nor is %s there", dir, quantizationFiles[0].name)
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
	q.readBits(o, 2, 4, 8)
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
	list, ok := o.ints("weight_block_size")
	switch {
	case !ok:
	case len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<24:
		o.fail("weight_block_size", "want two numbers above 0, have %v", list)
	default:
		q.block = [2]int(list)
	}
}

// compressedFormats are the formats of compressed-tensors that are read.
var compressedFormats = []string{"pack-quantized", "float-quantized", "int-quantized", "naive-quantized", "mixed-precision"}

func (q *quantization) readCompressed(o *object) {
	checkFormat(o, "format")
	if t := o.object("transform_config"); t != nil && len(t.values) > 0 {
		o.fail("transform_config", "activations that are rotated while the model runs are not supported")
	}
	if s := o.object("sparsity_config"); s != nil {
		if f := s.string("format", "dense"); f != "dense" {
			s.fail("format", "%q is not supported; supported: dense", f)
		}
	}
	groups := o.object("config_groups")
	if groups == nil {
		o.fail("config_groups", "missing")
		return
	}
	for name := range groups.values {
		if g := groups.object(name); g != nil {
			q.readScheme(g)
		}
	}
}

func checkFormat(o *object, key string) {
	if f := o.string(key, "float-quantized"); !slices.Contains(compressedFormats, f) {
		o.fail(key, "%q is not supported; supported: %s", f, strings.Join(compressedFormats, ", "))
	}
}

// readScheme reads an entry of config_groups. What tensors tell by themselves, it leaves to them.
func (q *quantization) readScheme(o *object) {
	checkFormat(o, "format")
	w := o.object("weights")
	if w == nil {
		return
	}
	switch order := string(w.value("actorder")); order { // "weight" and "static" leave columns where they are
	case `"group"`, `"dynamic"`, "true":
		q.scattered = true
	case "", "false", `"weight"`, `"static"`:
	default:
		w.fail("actorder", "%s is not supported; supported: group, weight", order)
	}
	if n := w.int("group_size", -1); n > 0 {
		q.groups = append(q.groups, n)
	}
	list, ok := w.ints("block_structure")
	if !ok {
		return
	}
	if len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<24 {
		w.fail("block_structure", "want two numbers above 0, have %v", list)
		return
	}
	if b := [2]int(list); cmp.Or(q.block, b) != b {
		w.fail("block_structure", "%v, but another group has %v", list, q.block)
	} else {
		q.block = b
	}
}
