package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// The files of a LoRA adapter.
const (
	adapterConfig  = "adapter_config.json"
	adapterWeights = "adapter_model.safetensors"
)

// Merge merges the LoRA or DoRA adapter in dir into the weights, as PEFT's merge_and_unload does: from now
// on, Rows returns W + scale·γ·B·A, where γ is what the adapter's settings make of alpha and rank. For other
// changes (DoRA, whole tensors, trained tokens), W is moved by this share of the change. Several adapters are
// merged one after the other. A head that is the embedding becomes a separate matrix if an adapter changes
// only one of them. After an error nothing is merged. Merge must not run beside other methods.
func (c *Checkpoint) Merge(dir string, scale float64) error {
	if scale-scale != 0 {
		return fmt.Errorf("%s: scale %v: want a finite number", dir, scale)
	}
	if !present(dir, adapterConfig) {
		return fmt.Errorf("%s: no %s: %s", dir, adapterConfig, Recognize(dir).Advice)
	}
	if why := ofMLX(dir); why != "" {
		return fmt.Errorf("%s: %s", dir, why)
	}
	path := filepath.Join(dir, adapterConfig)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	a, err := parseAdapter(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s, err := openAdapter(dir)
	if err != nil {
		return err
	}
	tensors, bounds, text, edited, notes, tied := c.tensors, c.bound, c.text, c.edited, c.notes, c.config.spec.TiedHead
	m := &merger{c: c, a: a, s: s, scale: scale}
	if err := mapped.Reading(m.run); err != nil {
		c.tensors, c.bound, c.text, c.edited, c.notes, c.config.spec.TiedHead = tensors, bounds, text, edited, notes, tied
		return errors.Join(err, s.close())
	}
	for k, changes := range m.changes {
		b := &c.bound[k.tensor]
		b.changes = append(b.changes, changes...)
	}
	c.adapters = append(c.adapters, s)
	c.files = append(append(c.files, File{path, int64(len(data))}), s.files...)
	c.notes = append(c.notes, fmt.Sprintf("merged: LoRA adapter %s, scale %v, into %s", baseOf(dir), scale, m.result()))
	if m.left > 0 {
		c.notes = append(c.notes, fmt.Sprintf("left out: tensors of the adapter for parts of the model that are left out (%d)", m.left))
	}
	return nil
}

// baseOf returns the last element of a path, even if that is the current directory.
func baseOf(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil {
		dir = whole
	}
	return filepath.Base(dir)
}

func openAdapter(dir string) (*shards, error) {
	s := &shards{tensors: map[string]stored{}}
	path := filepath.Join(dir, adapterWeights)
	err := s.add(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: no %s is there: %s", dir, adapterWeights, noAdapter(dir))
	}
	if err == nil && len(s.tensors) == 0 {
		err = fmt.Errorf("%s: there is no tensor in it", path)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// adapter is what an adapter_config.json says.
type adapter struct {
	rank, alpha   float64
	rooted        bool // γ = alpha/√rank, not alpha/rank
	dora          bool
	bias          bool // biases were trained
	ranks, alphas []pattern
	saved         []string         // names of modules that were trained as a whole
	parameters    []string         // names of parameters that are no module's weight
	thirdIsInput  bool             // stacks of experts are [experts][out][in] to the version of PEFT that wrote it
	tokens        map[string][]int // trained tokens by the embedding's name; "": of any
}

// pattern is a value for the modules whose names match.
type pattern struct {
	match *regexp.Regexp
	value float64
}

// parseAdapter refuses what cannot be merged into the weights.
func parseAdapter(data []byte) (*adapter, error) {
	o, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	if t := o.string("peft_type", ""); t != "LORA" {
		o.fail("peft_type", "%s", otherMethod(t))
	}
	o.ignore(strings.Fields(`task_type base_model_name_or_path revision inference_mode auto_mapping target_modules
		exclude_modules lora_dropout fan_in_fan_out layers_to_transform layers_pattern megatron_core lora_bias
		ephemeral_gpu_offload runtime_config eva_config loftq_config corda_config lora_ga_config qalora_group_size ensure_weight_tying`)...)
	checkInit(o)
	for _, key := range []string{"r", "lora_alpha"} {
		if o.values[key].Kind() == 'n' {
			o.fail(key, "want a number, have null")
		}
	}
	a := &adapter{
		rank: float64(o.size("r", 8)), alpha: o.float("lora_alpha", 8), rooted: o.bool("use_rslora", false), dora: o.bool("use_dora", false),
		saved: o.strings("modules_to_save"), parameters: o.strings("target_parameters"), tokens: tokensOf(o),
	}
	a.thirdIsInput = sinceStacksTurned(o.string("peft_version", ""))
	switch b := o.string("bias", "none"); b {
	case "none":
	case "all", "lora_only":
		a.bias = true
	default:
		o.fail("bias", "%q is not supported; supported: none, all, lora_only", b)
	}
	a.ranks, a.alphas = patterns(o, "rank_pattern"), patterns(o, "alpha_pattern")
	if err := o.firstError(); err != nil {
		return nil, err
	}
	if unread := o.unread(); unread != nil {
		return nil, fmt.Errorf("keys that are not supported: %s; what can be merged is LoRA and DoRA; %s", strings.Join(unread, ", "), mergeElsewhere)
	}
	return a, nil
}

const mergeElsewhere = "if PEFT can merge it, save what model.merge_and_unload() returns, and quantize that"

// sinceStacksTurned reports whether a version of PEFT is 0.19 or later. Those before 0.18 do not write theirs.
func sinceStacksTurned(version string) bool {
	var major, minor int
	n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return n == 2 && (major > 0 || minor >= 19)
}

// otherMethod says of a peft_type why it is not merged.
func otherMethod(name string) string {
	switch {
	case slices.Contains(strings.Fields("PROMPT_TUNING MULTITASK_PROMPT_TUNING P_TUNING PREFIX_TUNING CPT CARTRIDGE ADAPTION_PROMPT"), name):
		return fmt.Sprintf("%q adds inputs, keys or values, and changes no weights: it cannot be merged; supported: LORA", name)
	case slices.Contains(strings.Fields("XLORA POLY"), name):
		return fmt.Sprintf("%q chooses among adapters for every input: it cannot be merged; supported: LORA", name)
	}
	return fmt.Sprintf("%q is not supported; supported: LORA; %s", name, mergeElsewhere)
}

// tokensOf reads trainable_token_indices: a list, or one for each of several embeddings.
func tokensOf(o *object) map[string][]int {
	switch v := o.value("trainable_token_indices"); v.Kind() {
	case '[':
		list, _ := o.ints("trainable_token_indices")
		return map[string][]int{"": list}
	case '{':
		lists, each := map[string][]int{}, o.object("trainable_token_indices")
		if each == nil {
			return nil
		}
		for name := range each.values {
			lists[name], _ = each.ints(name)
		}
		return lists
	}
	return nil
}

// checkInit refuses an adapter that belongs to weights which its training changed.
func checkInit(o *object) {
	v := o.value("init_lora_weights")
	if v == nil || v.Kind() == 't' || v.Kind() == 'f' {
		return
	}
	switch s := o.string("init_lora_weights", ""); s {
	case "gaussian", "eva", "orthogonal", "mica":
	default:
		o.fail("init_lora_weights", "%q changes the weights of the base model too; convert the adapter to plain LoRA (PEFT: save_pretrained with path_initial_model_for_weight_conversion); "+mergeElsewhere, s)
	}
}

// patterns reads an object of numbers by regular expressions, in the order of the file.
func patterns(o *object, key string) []pattern {
	v := o.value(key)
	if v == nil {
		return nil
	}
	list, err := members(v)
	if err != nil {
		o.fail(key, "%v", err)
		return nil
	}
	var all []pattern
	for _, m := range list {
		p := pattern{}
		if err := json.Unmarshal(m.value, &p.value); err != nil || m.value.Kind() == 'n' {
			o.fail(key+"."+m.name, "want a number, have %s", short(m.value))
		}
		if p.match, err = regexp.Compile(`^(?:.*\.)?(?:` + m.name + `)$`); err != nil {
			o.fail(key, "%v", err)
		}
		all = append(all, p)
	}
	return all
}

// value returns that of the first pattern that matches the module.
func value(list []pattern, module string, fallback float64) float64 {
	for _, p := range list {
		if p.match.MatchString(module) {
			return p.value
		}
	}
	return fallback
}
