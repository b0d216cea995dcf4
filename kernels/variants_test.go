package kernels_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

var dump = flag.String("dump", "", "write the kernels that TestKernelsCompile compiles to this file, as JSON for testdata/tint.mjs")

// variants specialize each kernel so that every branch that depends on its constants is
// taken once. Kernels that read packed weights are specialized for every width, too.
var variants = map[string][]kernels.Consts{
	"act":             {{"ACT": 0, "GATED": 0}, {"ACT": 1, "WIDTH": 33}, {"ACT": 2, "PAIRED": 1}, {"ACT": 3}, {"ACT": 4}, {"ACT": 5}, {"ACT": 2, "GATED": 2}, {"LIMIT": 7.0, "SLOPE": 1.702, "UP_OFFSET": 1.0}},
	"attention":       {{"KV_BITS": 16, "DIM": 2, "WINDOW": 5, "VALUE": 2}, {"QUERIES": 8}, {"KV_BITS": 32, "DIM": 256, "SOFTCAP": 30.0, "VALUE": 256}, {"DIM": 80, "CHUNK": 128, "VALUE": 80}, {"HEADS": 1, "KV_HEADS": 1}, {"SINKS": 1}, {"DIM": 576, "VALUE": 512, "QUERIES": 3}},
	"attention_join":  {{"SPLITS": 64, "DIM": 256}, {"DIM": 8, "SPLITS": 2}, {"LIMBS": 1}},
	"attention_split": {{"DIM": 8, "WINDOW": 5, "VALUE": 8}, {"DIM": 256, "QUERIES": 1, "SOFTCAP": 30.0, "SPLITS": 2, "VALUE": 256}, {"DIM": 80, "CHUNK": 128, "LANES": 64, "VALUE": 80}, {"SINKS": 1, "SPLITS": 2}, {"DIM": 576, "VALUE": 512, "QUERIES": 4}, {"LIMBS": 1}},
	"attention_token": {{"DIM": 8, "VALUE": 8, "ROT": 8}, {"DIM": 80, "VALUE": 80, "LANES": 64, "ROT": 32, "INTERLEAVED": 1, "CHUNK": 128}, {"SINKS": 1, "SPLITS": 2}, {"LIMBS": 1, "ROT": 0, "SOFTCAP": 30.0}},
	"attention_subgroups": {
		{"DIM": 8, "SPAN": 1, "SIZE": 4, "EACH": 1, "WINDOW": 5, "ROT": 8},
		{"DIM": 80, "SPAN": 16, "SIZE": 32, "LANES": 64, "EACH": 8, "ROT": 32, "INTERLEAVED": 1, "CHUNK": 128, "SINKS": 1, "SPLITS": 2},
		{"DIM": 128, "SPAN": 16, "SIZE": 16, "LIMBS": 1, "ROT": 0, "SOFTCAP": 30.0, "ALIBI": 8.0, "EACH": 2},
		{"DIM": 256, "SPAN": 32, "SIZE": 32, "TURN": 0, "QUERIES": 1, "LIMBS": 1},
		{"DIM": 64, "JOIN": 1, "SPLITS": 3, "LIMBS": 1},
		{"DIM": 64, "LIMBS": 2, "BITS": 8, "UNIT_COLS": 64},
		{"DIM": 64, "ADDENDS": 7, "BIAS": 1, "PANELS": 2, "SINKS": 1},
		{"DIM": 64, "JOIN": 1, "SPLITS": 3, "SINKS": 1},
	},
	"copy":          {{"EACH": 2}},
	"duplicate":     {{"HEADS": 1, "CAP": 1, "WORDS": 30, "GROUPS": 1, "LANES": 32}},
	"combine":       {{"ADD": 0, "TOP": 1}, {"ADD": 1, "TOP": 8, "SCALE": -0.5}},
	"convolve":      {{"TAPS": 2, "BIAS": 1, "SILU": 0, "IN_AT": 256, "OUT_AT": 512}, {"TAPS": 4}},
	"embed":         {{"FIELD": 1, "ADD": 1, "SCALE": 0.5, "ROW0": 100}, {"KNOWN": 9}, {"NEXT": 1, "WOVEN": 0}},
	"gate":          {{"WIDTH": 33, "AT": 60}},
	"gather":        {{"KIND": 0, "WEIGH": 1, "BY_TOKEN": 0}, {"KIND": 1, "TOP": 8}, {"KIND": 2, "STRIDE": 512}},
	"group":         {{"EXPERTS": 1, "TOP": 1}, {"EXPERTS": 300, "TOP": 8, "SLOTS": 2048}},
	"heads_absorb":  {{"ROWS": 33, "TOKENS": 1}, {"TOKENS": 4}},
	"heads_values":  {{"TOKENS": 1}, {"TOKENS": 4}},
	"latent":        {{"RANK": 34, "ROT": 6, "INTERLEAVED": 1}, {"KV_BITS": 32}, {"RANK": 512, "ROT": 64}},
	"limbs":         {{"WIDTH": 33, "STRIDE": 256}, {"SCALED": 1}},
	"matmul":        {{}, {"ROWS": 4, "TOKENS": 4}, {"TILE_ROWS": 128, "DEPTH": 8}},
	"gram":          {{"WIDTH": 130, "STRIDE": 256, "HEIGHT": 130, "ROW0": 64, "ROWS": 66}, {"LOWER": 0, "DIFF": 1, "Y_STRIDE": 64, "HEIGHT": 64}},
	"gram_matrix":   {{"WIDTH": 130, "HEIGHT": 130, "ROW0": 64, "ROWS": 66}, {"LOWER": 0, "HIGH": 1, "WIDE": 1}},
	"split_columns": {{"DIFF": 1, "FIRST": 7}},
	"matmul_experts": {
		{"BY_TOKEN": 0, "WEIGH": 1, "TOP": 8},
	},
	"attention_matrix":      {{"DIM": 32, "GROUPS": 4, "KEYS": 16}, {"DIM": 80, "GROUPS": 4, "KEYS": 16, "CHUNK": 128}, {"DIM": 128, "GROUPS": 4, "KEYS": 16, "SINKS": 1, "SOFTCAP": 30.0, "ALIBI": 8.0}},
	"matmul_matrix":         {{"HIGH": 1, "WIDE": 2}, {"HIGH": 2, "WIDE": 1, "BUFFERS": 2}, {"HIGH": 2, "WIDE": 2, "LIMBS": 1, "DEPTH": 32}, {"HIGH": 1, "WIDE": 2, "GATED": 1, "FINE": 1}},
	"matmul_matrix_experts": {{"HIGH": 1, "BY_TOKEN": 0, "WEIGH": 1, "BESIDE": 1}, {"HIGH": 2, "WIDE": 2, "BUFFERS": 2, "TOP": 8}},
	"matvec_matrix":         {{"HIGH": 1, "WIDE": 2, "GATED": 1}, {"HIGH": 2, "ALONG": 2, "BUFFERS": 1, "FINE": 1}, {"HIGH": 4, "WIDE": 4, "ALONG": 2, "COLS": 14336}},
	"matvec_int8":           {{"BOTH": 1, "GATED": 1, "DOWN": 2, "SQUARES": 1}, {"HIGH": 2, "WIDE": 2, "ALONG": 1, "AHEAD": 1}, {"BOTH": 1, "ALONG": 4, "DOWN": 1, "AHEAD": 4, "COLS": 14336}},
	"split":                 {{"LANES": 64}, {"NORM": 1}},
	"matvec_join":           {{"PARTS": 7}, {"PARTS": 2, "GATED": 1}},
	"matvec_slices":         {{"GATED": 1, "SQUARES": 2}, {"PANELS": 4, "AHEAD": 2, "PARTS": 7, "COLS": 14336}, {"WIDE": 1, "PANELS": 3}},
	"split_int8":            {{"BOTH": 1}, {"NORM": 1, "WIDE": 2, "COLS": 14336, "WIDTH": 14300, "STRIDE": 14336}, {"NORM": 1, "ADDENDS": 8, "BIAS": 1, "SCALE": 0.5}},
	"split_panels":          {{"LANES": 64}, {"NORM": 1, "WIDE": 4, "COLS": 14336, "WIDTH": 14300, "STRIDE": 14336}},
	"matvec":                {{"TOKENS": 1}, {"TOKENS": 8}, {"TOKENS": 2, "NORM": 1}, {"TOKENS": 4, "NEXT": 1}, {"TOKENS": 4, "GATED": 1}, {"GATED": 1, "NORM": 1, "SLOPE": 1.5957691, "CUBIC": 0.07135481}},
	"matvec_batch":          {{"TOKENS": 4, "ALONG": 8}, {"TOKENS": 8, "ALONG": 8}, {"TOKENS": 4, "NORM": 1, "ALONG": 4}, {"TOKENS": 4, "NEXT": 1, "ALONG": 8}, {"TOKENS": 4, "GATED": 1, "ALONG": 8}, {"TOKENS": 8, "NORM": 1, "GATED": 1, "ALONG": 8, "SLOPE": 1.5957691, "CUBIC": 0.07135481}},
	"matvec_dot4":           {{"TOKENS": 1}, {"TOKENS": 4, "DEPTH": 2}, {"TOKENS": 2, "NORM": 1}, {"NEXT": 1}, {"GATED": 1, "NORM": 1, "NEXT": 2, "ROWS": 8}, {"GATED": 1, "NEXT": 2, "TURNS": 2}},
	"matvec_dot4_halves":    {{"NEXT": 1, "DEPTH": 2}, {"GATED": 1, "NORM": 1, "NEXT": 2, "TURNS": 2}},
	"matvec_f16":            {{"TOKENS": 1}, {"TOKENS": 8}, {"TOKENS": 2, "NORM": 1}, {"TOKENS": 4, "NEXT": 1}, {"GATED": 1, "NORM": 1}},
	"matvec_experts": {
		{"SUM": 1, "WEIGH": 1, "TOP": 8},
	},
	"roof":             {{"ROUNDS": 1}},
	"matvec_subgroups": {{"TOKENS": 1}, {"TOKENS": 8}, {"TOKENS": 2, "NORM": 1}, {"TOKENS": 4, "NEXT": 1}, {"GATED": 1, "NORM": 1}},
	"layer_inputs":     {{"WIDTH": 33}},
	"loud":             {{}, {"CLOSE": 1, "WIDTH": 33}},
	"norm":             {{"ADD": 1, "OUT_SCALE": 1}, {"CENTER": 0, "BIAS": 1, "ADD": 1}, {"CENTER": 1, "WIDTH": 33, "SCALE": 0.5}},
	"out_gate":         {{"NORM": 1, "WIDTH": 33}, {"NORM": 1, "FIRST": 1, "WHOLE": 1, "ACT": 1}},
	"recall":           {{"KEY_DIM": 9, "VALUE_DIM": 10, "STEP_MAX": 4.0}, {"DELTA": 0, "SKIP": 1}},
	"repack":           {{}},
	"rope": {
		{"NORM": 0, "ROT": 0, "KV_BITS": 32},
		{"NORM": 1, "ROT": 32, "INTERLEAVED": 1},
		{"NORM": 2, "DIM": 256, "TEMP_FLOOR": 8192},
		{"NORM": 3, "DIM": 2, "ROT": 2},
		{"NORM": 4, "CENTER": 1, "CLIP": 2.5},
		{"NORM": 5},
		{"NORM": 1, "V_NORM": 1, "OF_KEYS": 1},
	},
	"route":     {{"EXPERTS": 1, "TOP": 1}, {"SIGMOID": 1, "NORMALIZE": 1, "EXPERTS": 130, "TOP": 8}, {"BY_SCORE": 1, "BIASED": 1, "EXPERTS": 256, "GROUPS": 8, "TOP_GROUPS": 4, "BEST": 2, "SCALE": 2.5}, {"MIXER": 0.02}, {"WEIGHED": 1}},
	"shift":     {{"PARTS": 1, "ROT": 0}, {"ROT": 32, "INTERLEAVED": 1, "KV_BITS": 32}, {"DIM": 576, "ROT": 64, "ROT_AT": 512, "FOLD": 3}},
	"sparse":    {{}, {"STEP": 2, "WIDTH": 33}},
	"streams":   {{}, {"MODE": 1, "SCALED": 1}, {"MODE": 2}, {"MODE": 3, "SCALE": 0.5}},
	"spans":     {{"EXPERTS": 1}, {"EXPERTS": 300, "SLOTS": 2048}},
	"topk_max":  {{"VOCAB": 151936}, {"VOCAB": 1}},
	"topk_pick": {{"VOCAB": 151936, "K": 192}, {"VOCAB": 1, "K": 1}},
}

// widths has a packing for each width of weights.
var widths = []packing{f32, f16, codes(8, 128), codes(4, 32), codes(2, 256)}

// narrow has the packings of kernels that do not take all widths.
var narrow = map[string][]packing{
	"matmul_matrix":         {f16, codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 32)},
	"matmul_matrix_experts": {f16, codes(4, 128), codes(2, 32)},
	"split":                 {f16, codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 32)},
	"matvec_matrix":         {codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 32)},
	"split_panels":          {codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 32)},
	"matvec_int8":           {codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 64)},
	"matvec_slices":         {codes(4, 128)},
	"split_int8":            {codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 64)},
	"matvec_dot4":           {codes(8, 128), codes(4, 32), codes(2, 256), codes(2, 32)},
	"matvec_dot4_halves":    {codes(2, 256), codes(2, 32)},
	"matvec_f16":            nil,
	"attention_subgroups":   nil, // it stores for codes, and reads none
}

// specialized returns every kernel with its default constants, and its variants.
func specialized(t *testing.T) []kernels.Kernel {
	t.Helper()
	var all []kernels.Kernel
	add := func(name string, c kernels.Consts) {
		k, err := kernels.Specialize(name, c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
		if k, err = k.Unrolled(); err != nil {
			t.Fatal(err)
		}
		if k.Source != all[len(all)-1].Source {
			all = append(all, k)
		}
	}
	for _, name := range kernels.Names() {
		if variants[name] == nil {
			t.Errorf("kernel %s has no variants: list them here", name)
		}
		add(name, nil)
		widths := widths
		if some, ok := narrow[name]; ok {
			widths = some
		}
		packed := len(literals(t, name, "BITS")) > 0 && widths != nil
		for i, c := range variants[name] {
			if !packed {
				add(name, c)
				continue
			}
			for j, p := range widths {
				if i > 1 && (i+j)%2 == 0 {
					continue // every width with the first two variants, half of them with each other one
				}
				c := maps.Clone(c)
				maps.Copy(c, p.consts())
				if len(literals(t, name, "STEP")) > 0 {
					c["STEP"] = max(1, 16/p.bits)
				}
				if name == "embed" {
					c["COLS"] = p.cols(256)
				}
				add(name, c)
			}
		}
	}
	return all
}

// TestStorageBuffers: no kernel binds more storage buffers than every device has for a stage.
func TestStorageBuffers(t *testing.T) {
	for _, k := range specialized(t) {
		storages := 0
		for _, b := range k.Bindings {
			storages += asInt(b != kernels.Uniform)
		}
		if storages > 8 {
			t.Errorf("%s binds %d storage buffers", k.Key, storages)
		}
	}
}

// TestKernelsCompile compiles every variant with the native compiler, except for those that need what it does not
// know: only Tint compiles these.
func TestKernelsCompile(t *testing.T) {
	all := specialized(t)
	if *dump != "" {
		data, err := json.Marshal(all)
		if err == nil {
			err = os.WriteFile(*dump, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	dev := open(t)
	for _, k := range all {
		if !dev.Features().Runs(k) {
			continue
		}
		if _, err := dev.Pipeline(k); err != nil {
			t.Error(err)
		}
	}
}
