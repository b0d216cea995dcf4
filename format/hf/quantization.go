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
	methodFBGEMM:     (*quantization).readFBGEMM,
	methodCompressed: (*quantization).readCompressed,
}

const supportedMethods = "fp8, fbgemm_fp8, gptq of 2, 4 or 8 bits, awq of 4 bits, compressed-tensors of 8-bit floats and of 2-, 4- or 8-bit integers"

// readQuantization reads a quantization_config; method is what an absent quant_method means.
func readQuantization(o *object, where, method string) (*quantization, error) {
	q := &quantization{where: where, method: o.string("quant_method", method)}
	if q.method == "compressed_tensors" {
		q.method = methodCompressed
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
		o, err := parseObject("", data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if c.config.quant, err = readQuantization(o, f.name, f.method); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if unread := o.unread(); unread != nil {
			return fmt.Errorf("%s: keys not understood: %s", path, strings.Join(unread, ", "))
		}
		return nil
	}
	return fmt.Errorf("%s: tensors were quantized, but neither config.json has a quantization_config nor is %s there", dir, quantizationFiles[0].name)
}

func (q *quantization) readGPTQ(o *object) {
	o.ignore(strings.Fields(`damp_percent damp_auto_increment true_sequential static_groups sym model_name_or_path
		model_file_base_name modules_in_block_to_quantize tokenizer dataset module_name_preceding_first_block
		block_name_to_quantize batch_size pad_token_id use_exllama max_input_length exllama_config cache_block_outputs
		use_cuda_fp16 model_seqlen meta backend act_group_aware mse lm_head quantizer method quant_method`))
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
	if o.has("dynamic") {
		q.bits, q.group = 0, 0
	}
}

func (q *quantization) readAWQ(o *object) {
	alias(o, "bits", "w_bit")
	alias(o, "group_size", "q_group_size")
	alias(o, "version", "format")
	o.ignore(strings.Fields(`zero_point modules_to_not_convert backend do_fuse exllama_config fuse_max_seq_len modules_to_fuse
		quant_method format sym desc_act meta lm_head true_sequential damp_percent`))
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
}

func (q *quantization) readFP8(o *object) {
	o.ignore(strings.Fields(`activation_scheme modules_to_not_convert ignored_layers ignored_modules kv_cache_scheme fmt
		scale_fmt dequantize quant_method`))
	list, ok := o.ints("weight_block_size")
	switch {
	case !ok:
	case len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<24:
		o.fail("weight_block_size", "want two numbers above 0, have %v", list)
	default:
		q.block = [2]int(list)
	}
}

func (q *quantization) readFBGEMM(o *object) {
	o.ignore(strings.Fields("activation_scale_ub modules_to_not_convert quant_method"))
}

// compressedFormats are the formats of compressed-tensors that are read.
var compressedFormats = []string{"pack-quantized", "float-quantized", "int-quantized", "naive-quantized", "mixed-precision"}

func (q *quantization) readCompressed(o *object) {
	o.ignore(strings.Fields(`quant_method version quantization_status global_compression_ratio ignore kv_cache_scheme
		run_compressed dequantize`))
	checkFormat(o, "format")
	if s := o.object("sparsity_config"); s != nil {
		s.ignore(strings.Fields("ignore targets registry_requires_subclass global_sparsity sparsity_structure"))
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
	o.ignore(strings.Fields("targets input_activations output_activations"))
	checkFormat(o, "format")
	w := o.object("weights")
	if w == nil {
		return
	}
	w.ignore(strings.Fields(`num_bits type symmetric strategy dynamic observer observer_kwargs scale_dtype zp_dtype
		is_symmetric`))
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
