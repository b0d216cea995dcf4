package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
)

// The files of a LoRA adapter.
const (
	adapterConfig  = "adapter_config.json"
	adapterWeights = "adapter_model.safetensors"
)

// Merge adds the LoRA adapter in dir to the weights: from now on, Rows returns W + scale·γ·B·A, where γ
// is what the adapter's settings make of alpha and rank. Adapters add up. After an error nothing is
// merged. Merge must not run beside other methods.
func (c *Checkpoint) Merge(dir string, scale float64) error {
	if scale-scale != 0 {
		return fmt.Errorf("%s: scale %v: want a finite number", dir, scale)
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
	found, err := c.deltas(a, s, scale)
	if err != nil {
		return errors.Join(err, s.close())
	}
	for name, d := range found {
		for _, o := range c.owners[name] {
			p := &c.bound[o.tensor].parts[o.part]
			p.deltas = append(p.deltas, d)
		}
	}
	c.adapters = append(c.adapters, s)
	c.files = append(append(c.files, File{path, int64(len(data))}), s.files...)
	c.notes = append(c.notes, fmt.Sprintf("merged: LoRA adapter %s, scale %v, into %d matrices", baseOf(dir), scale, len(found)))
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
	ranks, alphas []pattern
}

// pattern is a value for the modules whose names match.
type pattern struct {
	match *regexp.Regexp
	value float64
}

// parseAdapter refuses what would make an adapter more than W + γ·B·A.
func parseAdapter(data []byte) (*adapter, error) {
	o, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	if t := o.string("peft_type", ""); t != "LORA" {
		o.fail("peft_type", "%q is not supported; supported: LORA", t)
	}
	o.ignore(strings.Fields(`task_type base_model_name_or_path revision inference_mode auto_mapping peft_version target_modules
		exclude_modules lora_dropout fan_in_fan_out layers_to_transform layers_pattern megatron_core
		ephemeral_gpu_offload runtime_config eva_config loftq_config qalora_group_size ensure_weight_tying`)...)
	if b := o.string("bias", "none"); b != "none" {
		o.fail("bias", "%q is not supported: only matrices can be merged; supported: none", b)
	}
	checkInit(o)
	a := &adapter{
		rank: float64(o.size("r", 8)), alpha: o.float("lora_alpha", 8), rooted: o.bool("use_rslora", false),
	}
	a.ranks, a.alphas = patterns(o, "rank_pattern"), patterns(o, "alpha_pattern")
	if err := o.firstError(); err != nil {
		return nil, err
	}
	if unread := o.unread(); unread != nil {
		return nil, fmt.Errorf("keys that are not supported: %s; what can be merged is plain LoRA of matrices", strings.Join(unread, ", "))
	}
	return a, nil
}

// checkInit refuses an adapter that belongs to weights which its training changed.
func checkInit(o *object) {
	v := o.value("init_lora_weights")
	if v == nil || v.Kind() == 't' || v.Kind() == 'f' {
		return
	}
	switch s := o.string("init_lora_weights", ""); s {
	case "gaussian", "eva", "orthogonal":
	default:
		o.fail("init_lora_weights", "%q changes the weights of the base model too; convert the adapter to plain LoRA (PEFT: save_pretrained with path_initial_model_for_weight_conversion)", s)
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
		if err := json.Unmarshal(m.value, &p.value); err != nil {
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
