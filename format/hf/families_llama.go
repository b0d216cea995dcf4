package hf

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

func readLlama(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
}

func readMistral(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false, ropeNames)
	d.uniformWindow(d.slidingWindow())
}

// uniformWindow gives all layers the same window; families that call it know no layer_types, but
// some files list equal ones.
func (d *draft) uniformWindow(window int) {
	d.windows(window, 0, everywhere(window))
	for _, y := range d.layers {
		if y.Attention.Window != window {
			d.fail("layer_types", "this family has the same window (sliding_window) in all layers; set sliding_window to null if there is none")
			return
		}
	}
}

func readMixtral(d *draft) {
	readMistral(d)
	d.each(func(_ int, y *model.Layer) {
		y.MLP.Experts = d.size("num_experts", 0)
		y.MLP.TopK = d.size("num_experts_per_tok", 0)
		y.MLP.NormalizeTopK = true
	})
}

func readQwen2(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false, ropeNames)
	d.qwenWindows()
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias = true })
}

// qwenWindows reads the window of the layers from max_window_layers on.
func (d *draft) qwenWindows() {
	from := d.int("max_window_layers", 0)
	window := d.switchedWindow()
	d.windows(window, 0, func(i int) string {
		if window > 0 && i >= from {
			return slidingAttention
		}
		return fullAttention
	})
}

// switchedWindow reads the width of the window, 0 unless use_sliding_window.
func (d *draft) switchedWindow() int {
	if d.bool("use_sliding_window", false) {
		return d.slidingWindow()
	}
	d.ignore("sliding_window")
	return 0
}

func readQwen3(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qwenWindows()
	d.qkNorm(model.QKNormHead)
}

func (d *draft) qkNorm(kind model.QKNorm) {
	d.each(func(_ int, y *model.Layer) { y.Attention.QKNorm = kind })
}

func readQwen3MoE(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.uniformWindow(d.switchedWindow())
	d.qkNorm(model.QKNormHead)
	normalize := d.bool("norm_topk_prob", false)
	d.sparseLayers("num_local_experts", normalize)
}

// sparseLayers gives experts, of which the key count tells how many there are, to the layers that decoder_sparse_step
// and mlp_only_layers leave to them.
func (d *draft) sparseLayers(count string, normalize bool) {
	dense, _ := d.ints("mlp_only_layers")
	step := d.size("decoder_sparse_step", 1)
	if d.has(count) && d.int(count, 0) == 0 {
		return // all layers are dense
	}
	experts := model.MLP{
		Gated:        true,
		Activation:   d.layers[0].MLP.Activation,
		Intermediate: d.size("moe_intermediate_size", 0),
		Routing: model.Routing{
			Experts:       d.size(count, 0),
			TopK:          d.size("num_experts_per_tok", 0),
			NormalizeTopK: normalize,
		},
	}
	d.each(func(i int, y *model.Layer) {
		if !slices.Contains(dense, i) && (i+1)%step == 0 {
			y.MLP = experts
		}
	})
}

// phi3RopeNames: files call longrope by three names.
var phi3RopeNames = map[string]string{"default": "default", "longrope": "longrope", "su": "longrope", "yarn": "longrope"}

func readPhi3(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(true, phi3RopeNames)
	d.uniformWindow(d.slidingWindow())
}

func readOLMo2(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormProjection)
	d.postNorms()
}

func readSmolLM3(d *draft) {
	readLlama(d)
	d.noRoPELayers()
	window := d.switchedWindow()
	d.windows(window, 0, func(i int) string {
		if window > 0 && d.layers[i].Attention.RoPE < 0 {
			return slidingAttention
		}
		return fullAttention
	})
}

// noRoPELayers takes the RoPE from the layers where no_rope_layers has a 0; without the list, from
// every no_rope_layer_interval-th.
func (d *draft) noRoPELayers() {
	list, present := d.ints("no_rope_layers")
	interval := d.size("no_rope_layer_interval", 4)
	if present && len(list) > 0 && len(list) < len(d.layers) {
		d.fail("no_rope_layers", "%d entries for %d layers", len(list), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		rotate := (i+1)%interval != 0
		if len(list) > 0 {
			rotate = list[i] != 0
		}
		if !rotate {
			y.Attention.RoPE = -1
		}
	})
}

func readGranite(d *draft) {
	readLlama(d)
	d.multipliers()
}

// multipliers reads the factors of Granite's embedding, attention, branches and logits.
func (d *draft) multipliers() {
	d.spec.EmbedScale = float32(d.float("embedding_multiplier", 1))
	scaling := d.float("logits_scaling", 1)
	if scaling == 0 {
		d.fail("logits_scaling", "the logits cannot be divided by 0")
	}
	d.spec.LogitScale = float32(1 / scaling)
	attention, residual := d.float("attention_multiplier", 1), d.float("residual_multiplier", 1)
	d.each(func(_ int, y *model.Layer) {
		y.Attention.Scale = float32(attention)
		y.ResidualScale = float32(residual)
	})
}
