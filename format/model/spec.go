// Package model describes a decoder-only transformer: its sizes, and the name, role and
// shape of every tensor. It computes nothing but the rotation frequencies of a context.
package model

import "slices"

// Spec says what a model is: everything that the converter, the CPU reference and the GPU
// runtime need to know beside the weights. A field that is zero is a feature that is absent.
type Spec struct {
	Family       string `json:"family"`                  // model_type of config.json, for people: no code decides by it
	Vocab        int    `json:"vocab"`                   // tokens, rows of the embedding and of the head
	Hidden       int    `json:"hidden"`                  // width of the residual stream
	MaxPositions int    `json:"max_positions,omitempty"` // context that the model was trained for

	EmbedScale   float32 `json:"embed_scale"`             // the embedding is multiplied by it
	EmbedNorm    bool    `json:"embed_norm,omitempty"`    // the embedding is normalized before the first layer
	Positions    int     `json:"positions,omitempty"`     // rows of a learned position embedding
	ContextLimit int     `json:"context_limit,omitempty"` // no context is longer: beyond it, the model computes what is not described here
	TiedHead     bool    `json:"tied_head,omitempty"`     // the head is the embedding
	HeadBias     bool    `json:"head_bias,omitempty"`     // the head adds a bias

	LayerInputs LayerInputs `json:"layer_inputs,omitzero"` // unless zero, each layer is given a vector of the token
	Streams     Streams     `json:"streams,omitzero"`      // unless zero, there are more residual streams

	LogitScale   float32 `json:"logit_scale"`             // the logits are multiplied by it …
	LogitSoftcap float32 `json:"logit_softcap,omitempty"` // … then become c·tanh(x/c)

	Norm   Norm    `json:"norm"`
	RoPE   []RoPE  `json:"rope,omitempty"` // rotations that layers refer to by index
	Kinds  []Layer `json:"kinds"`          // the distinct kinds of layers
	Layers []int   `json:"layers"`         // for each layer, from the first, its index in Kinds

	// KVFloat32 are the layers, in order, whose keys and values are cached as float32 whatever is asked for: float16 may
	// not hold them. No config.json says so: a bundle has it beside its spec.
	KVFloat32 []int `json:"-"`
}

// DefaultContext is the longest context, in positions, that is chosen where nobody asks for one: a model may be
// trained for far more than there is memory for.
const DefaultContext = 4096

// TrainedContext returns how many positions the model was trained for, or DefaultContext if that is not known.
func (s *Spec) TrainedContext() int {
	if s.MaxPositions > 0 {
		return s.MaxPositions
	}
	return DefaultContext
}

// Most returns how many positions a sequence can have, 0 if nothing limits them.
func (s *Spec) Most() int {
	if s.Positions > 0 && s.ContextLimit > 0 {
		return min(s.Positions, s.ContextLimit)
	}
	return max(s.Positions, s.ContextLimit)
}

// Context returns how many positions are held where nobody asks for a number: what the model was trained for, at most
// DefaultContext.
func (s *Spec) Context() int { return min(s.TrainedContext(), DefaultContext) }

// KVBits returns the bits of a cached key or value of layer i, where the given number is asked for.
func (s *Spec) KVBits(i, asked int) int {
	if slices.Contains(s.KVFloat32, i) {
		return 32
	}
	return asked
}

// Layer returns the description of layer i.
func (s *Spec) Layer(i int) *Layer { return &s.Kinds[s.Layers[i]] }

// LayerInputs are vectors, one for each token and layer, that layers with TakesInput add to the residual stream. With x the
// residual stream before the first layer, and e and w the token's row of layer_embed and layer_project·x, cut into a vector
// for each layer,
//
//	input of layer i = SumScale·(layer_norm(ProjectScale·w[i]) + EmbedScale·e[i])
type LayerInputs struct {
	Width        int     `json:"width"`  // elements of a vector; 0: there are none
	Tokens       int     `json:"tokens"` // rows of layer_embed; tokens beyond have the first row
	EmbedScale   float32 `json:"embed_scale"`
	ProjectScale float32 `json:"project_scale"`
	SumScale     float32 `json:"sum_scale"`
}

// Streams are residual streams beside the one that layers' branches read and add to, which is s[0] here and x elsewhere.
// Before the first layer, s[i] is stream_in[i]·x, scaled to the RMS of x. A layer begins with
//
//	m = tanh(RouterScale·(stream_router·stream_norm(x))), and K [Count][Count] = stream_predict·m
//	s[a] += Σ K[a][b]·s[b]
//
// and after its branches, with m made anew of x, and d the difference of x to what it was before them,
//
//	s[a] = s[a] + (1 + (stream_correct·m)[a])·d
//
// A layer that takes an input reads it by stream_scale·s[0], and adds what it makes of it to all streams but s[0]. After the
// last layer, x becomes the mean of x and all stream_out[i]·s[i], scaled to the RMS of x.
type Streams struct {
	Count       int     `json:"count"` // with the first; 0: there is only that
	RouterScale float32 `json:"router_scale"`
	InputScaled bool    `json:"input_scaled,omitempty"` // there is a stream_scale
}

// NormKind names a normalization.
type NormKind string

// The normalizations.
const (
	RMSNorm   NormKind = "rms"   // x/√(mean(x²)+ε)·w
	LayerNorm NormKind = "layer" // (x−mean)/√(var+ε)·w+b
)

// Norm is the normalization that all layers and the final norm share; normalized queries and
// keys share its Eps and PlusOne.
type Norm struct {
	Kind       NormKind `json:"kind"`
	Eps        float32  `json:"eps"`
	PlusOne    bool     `json:"plus_one,omitempty"` // the weight is stored less one
	Bias       bool     `json:"bias,omitempty"`
	Unweighted bool     `json:"unweighted,omitempty"` // there is no weight
}

// RoPE is a rotary position embedding: the first Dim elements of each head are rotated, pair j
// by the angle position·InvFreq[j].
type RoPE struct {
	Dim         int       `json:"dim"`                   // rotated elements of a head, 2·len(InvFreq)
	Interleaved bool      `json:"interleaved,omitempty"` // pairs are (2j, 2j+1); else (j, j+Dim/2)
	InvFreq     []float32 `json:"inv_freq"`              // [Dim/2] radians per position, scaling applied
	Scale       float32   `json:"scale"`                 // cos and sin are multiplied by it

	// Long replaces InvFreq and Scale when the context in use is longer than LongFrom. The context
	// in use is the number of positions that the KV cache was made for, not the number of tokens
	// so far: a prompt gives the same logits however it is cut.
	LongFrom    int       `json:"long_from,omitempty"`
	LongInvFreq []float32 `json:"long_inv_freq,omitempty"`
	LongScale   float32   `json:"long_scale,omitempty"`

	// If DynamicFactor is set, a context n longer than LongFrom makes the frequencies instead
	// those of the base DynamicBase·(f·n/LongFrom − (f−1))^(Dim/(Dim−2)).
	DynamicBase   float32 `json:"dynamic_base,omitempty"`
	DynamicFactor float32 `json:"dynamic_factor,omitempty"`
}

// Layer is one transformer layer. With x the residual stream and ν a norm:
//
//	x += ResidualScale·post_attn_norm(attention(attn_norm(x)))
//	x += ResidualScale·post_mlp_norm(mlp(mlp_norm(x)))
//
// where pre-norms and post-norms are there as PreNorm and PostNorm say. If Parallel is set,
// both branches read the x from before the layer; if OneNorm is set too, the MLP is given what attention is given, and
// mlp_norm is not there. If TakesInput, with i the layer's input and act the MLP's activation,
//
//	x += post_input_norm(input_out·(act(input_gate·x)·i))
//
// comes after both. If OutScale is set, x is multiplied by the number out_scale at the end of the layer.
//
// A layer may be one of the two branches alone: see Mixes and Feeds.
type Layer struct {
	PreNorm       bool    `json:"pre_norm,omitempty"`
	PostNorm      bool    `json:"post_norm,omitempty"`
	Parallel      bool    `json:"parallel,omitempty"`
	OneNorm       bool    `json:"one_norm,omitempty"`
	TakesInput    bool    `json:"takes_input,omitempty"`
	OutScale      bool    `json:"out_scale,omitempty"`
	ResidualScale float32 `json:"residual_scale"`

	// If Shortcut is set, the first branch adds more: with n the normalized stream that attention is given,
	//	x = ShortcutScale·(x + attention + n + shortcut_norm(shortcut_out·shortcut_in·n))
	// where shortcut_in makes vectors of so many elements.
	Shortcut      int     `json:"shortcut,omitempty"`
	ShortcutScale float32 `json:"shortcut_scale,omitempty"`

	Attention  Attention  `json:"attention,omitzero"`
	Recurrence Recurrence `json:"recurrence,omitzero"` // takes the place of attention or, if both are set, stands beside it: see Twofold
	MLP        MLP        `json:"mlp,omitzero"`
}

// Attends reports whether the layer has attention.
func (y *Layer) Attends() bool { return y.Attention.Heads > 0 }

// Caches reports whether the layer has keys and values of its own.
func (y *Layer) Caches() bool { return y.Attends() && !y.Attention.SharedKV }

// Mixes reports whether the layer has attention or a recurrence. Without, it is its MLP alone.
func (y *Layer) Mixes() bool { return y.Attends() || y.Recurrence.Taps > 0 }

// Twofold reports whether the layer has attention and a recurrence. Both are given the same, and what they make is added.
func (y *Layer) Twofold() bool { return y.Attends() && y.Recurrence.Taps > 0 }

// Feeds reports whether the layer has an MLP or experts. Without, it is its attention or recurrence alone.
func (y *Layer) Feeds() bool { return y.MLP.Intermediate > 0 }

// QKNorm says over what queries and keys are normalized.
type QKNorm string

// What queries and keys are normalized over.
const (
	QKNormNone       QKNorm = ""
	QKNormHead       QKNorm = "head"       // each head by itself, weight [HeadDim], before RoPE
	QKNormProjection QKNorm = "projection" // the whole projection, before RoPE
	QKNormUnweighted QKNorm = "unweighted" // each head by itself, without a weight, after RoPE
	QKNormHeads      QKNorm = "heads"      // each head by itself with a weight of its own, [heads][HeadDim] together, before RoPE
	QKNormRotated    QKNorm = "rotated"    // as QKNormHead, after RoPE
)

// Attention is causal attention with grouped queries. Query head h reads key and value head
// h/(Heads/KVHeads).
type Attention struct {
	Heads   int `json:"heads"`
	KVHeads int `json:"kv_heads"`
	HeadDim int `json:"head_dim"`

	Scale   float32 `json:"scale"`             // q·k is multiplied by it …
	Softcap float32 `json:"softcap,omitempty"` // … then becomes c·tanh(x/c)
	RoPE    int     `json:"rope"`              // index in Spec.RoPE, −1: none

	// A query at position p sees the keys at positions j ≤ p with p−j < Window, if Window is
	// set, and with ⌊j/Chunk⌋ = ⌊p/Chunk⌋, if Chunk is set.
	Window int `json:"window,omitempty"`
	Chunk  int `json:"chunk,omitempty"`

	QKNorm    QKNorm `json:"qk_norm,omitempty"`
	ValueNorm bool   `json:"value_norm,omitempty"` // each value is normalized by itself, by RMS and without a weight
	// SharedKV: the layer has no keys and values of its own. It reads those of the nearest layer before it that has some of
	// the same KVHeads and HeadDim, for the same Window and Chunk.
	SharedKV bool `json:"shared_kv,omitempty"`
	// KeyValues: there is no matrix v. Values are what keys are before these are normalized and rotated.
	KeyValues bool `json:"key_values,omitempty"`

	Clip    float32 `json:"clip,omitempty"` // unless 0, elements of q, k and v are bounded by ±Clip, before RoPE
	QKVBias bool    `json:"qkv_bias,omitempty"`
	OutBias bool    `json:"out_bias,omitempty"`
	Gated   bool    `json:"gated,omitempty"` // what a head reads is multiplied, element by element, by the sigmoid of out_gate·x
	Sinks   bool    `json:"sinks,omitempty"` // each head has a score of its own for reading nothing, which takes part in the softmax

	// If ALiBi is set, the score of head h for a key n positions back, after Softcap, is less by n·Slope(h).
	ALiBi      float32 `json:"alibi,omitempty"`
	ALiBiScale float32 `json:"alibi_scale,omitempty"`

	// If TemperatureFloor is set, the query at position p is multiplied by
	// 1 + TemperatureScale·ln(1+⌊(p+1)/TemperatureFloor⌋), or with p in place of p+1 if TemperatureFromZero.
	TemperatureScale    float32 `json:"temperature_scale,omitempty"`
	TemperatureFloor    int     `json:"temperature_floor,omitempty"`
	TemperatureFromZero bool    `json:"temperature_from_zero,omitempty"`

	Latent
}

// Activation names the function between the two halves of an MLP.
type Activation string

// The activations.
const (
	SiLU     Activation = "silu"
	GELU     Activation = "gelu"      // x·Φ(x) by erf
	GELUTanh Activation = "gelu_tanh" // its tanh approximation
	ReLU     Activation = "relu"
	ReLU2    Activation = "relu2" // max(x, 0)²
	XIELU    Activation = "xielu" // p·x² + b·x above 0, n·(exp(min(x, e)) − 1 − x) + b·x below, by four numbers of the layer
)

// MLP is down(act(gate(x))·up(x)) if Gated, else down(act(up(x))). With Experts, the weights are
// those of the TopK experts that the router chooses for a token, and each has biases of its own if Bias is set.
type MLP struct {
	Gated        bool       `json:"gated,omitempty"`
	Activation   Activation `json:"activation"`
	Intermediate int        `json:"intermediate"` // width between the halves, of one expert if there are any
	Bias         bool       `json:"bias,omitempty"`

	Routing
	// Shared is the width of an expert that every token passes through, beside the chosen ones. If
	// SharedGated, what it makes is multiplied by the sigmoid of shared_router·x.
	Shared      int  `json:"shared,omitempty"`
	SharedGated bool `json:"shared_gated,omitempty"`
	// If ExpertWidth is set, the chosen experts are given expert_in·x, of so many elements, in place of x, and expert_out
	// multiplies the sum of what they make.
	ExpertWidth int `json:"expert_width,omitempty"`
	// Apart: the chosen experts have norms of their own. With x the residual stream, the MLP is then
	//	post_shared_norm(shared(mlp_norm(x))) + post_experts_norm(experts(experts_norm(x)))
	// and the router is given x divided by its RMS, times router_norm, and its logits are multiplied by RouterScale.
	Apart       bool    `json:"apart,omitempty"`
	RouterScale float32 `json:"router_scale,omitempty"`

	Clamped
}

// Clamped changes what a gated MLP does between its halves to act(min(g, Limit))·(u + UpOffset), with g the gate and
// u = max(−Limit, min(up, Limit)). A Limit of 0 bounds nothing.
type Clamped struct {
	Limit    float32 `json:"limit,omitempty"`
	UpOffset float32 `json:"up_offset,omitempty"`
	Slope    float32 `json:"slope,omitempty"` // unless 0, SiLU is x·sigmoid(Slope·x)

	// Sparse: before anything else, a gate g becomes max(0, g − mean − Cutoff·deviation), over all gates of the token.
	Sparse bool    `json:"sparse,omitempty"`
	Cutoff float32 `json:"cutoff,omitempty"`
}

// Routing says which experts a token is sent to, and with which weights. Its score for an expert is the softmax (over
// all experts) or, if Sigmoid, the sigmoid of its router logit.
type Routing struct {
	Experts int `json:"experts,omitempty"`
	TopK    int `json:"top_k,omitempty"`
	// The scores of the TopK experts are their weights; NormalizeTopK makes them sum to 1. Then they are multiplied
	// by RouteScale, unless that is 0. The weight multiplies the expert's output or, if WeightInput, its input.
	Sigmoid       bool    `json:"sigmoid,omitempty"`
	NormalizeTopK bool    `json:"normalize_top_k,omitempty"`
	WeightInput   bool    `json:"weight_input,omitempty"`
	RouteScale    float32 `json:"route_scale,omitempty"`

	// If Mixer is set, the weight of an expert that is chosen is the softmax of its logit among those that were not
	// chosen before it and whose logit l is not far from its own, m: (m−l)/max(|l|, m) ≤ Mixer.
	Mixer float32 `json:"mixer,omitempty"`

	RouterBias    bool `json:"router_bias,omitempty"`    // the router's logits have a bias
	SelectionBias bool `json:"selection_bias,omitempty"` // a bias is added to scores where experts are chosen, not where they weigh
	ExpertScale   bool `json:"expert_scale,omitempty"`   // at last, weights are multiplied by numbers of the experts
	// If Groups is set, the experts are that many groups of equal size, and only those in the TopGroups groups that
	// score best are chosen from. A group's score is the sum of the GroupBest best of its experts.
	Groups    int `json:"groups,omitempty"`
	TopGroups int `json:"top_groups,omitempty"`
	GroupBest int `json:"group_best,omitempty"`
}

// Outer returns how many elements an expert, or the only MLP, is given and makes, in a model of this width.
func (m *MLP) Outer(hidden int) int {
	if m.ExpertWidth > 0 {
		return m.ExpertWidth
	}
	return hidden
}

// ByScore reports whether experts are compared by their scores. Otherwise the router's logits order them alike.
func (m *Routing) ByScore() bool { return m.SelectionBias || m.Groups > 0 && m.GroupBest > 1 }
