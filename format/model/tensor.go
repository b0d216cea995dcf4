package model

// Role says what a tensor does in the model.
type Role string

// The roles. Matrices are stored [out][in]: y = W·x.
const (
	RoleEmbed         Role = "embed"      // [Vocab][Hidden]
	RolePositions     Role = "positions"  // [Positions][Hidden]
	RoleEmbedNorm     Role = "embed_norm" // [Hidden]
	RoleEmbedNormBias Role = "embed_norm_bias"
	RoleLayerEmbed    Role = "layer_embed"   // [LayerInputs.Tokens][layers·LayerInputs.Width]
	RoleLayerProject  Role = "layer_project" // [layers·LayerInputs.Width][Hidden]
	RoleLayerNorm     Role = "layer_norm"    // [LayerInputs.Width]
	RoleStreamIn      Role = "stream_in"     // [Streams.Count−1][Hidden][Hidden]
	RoleStreamOut     Role = "stream_out"    // [Streams.Count−1][Hidden][Hidden]
	// Of each layer, with n Streams.Count.
	RoleStreamNorm    Role = "stream_norm"    // [Hidden]
	RoleStreamRouter  Role = "stream_router"  // [n][Hidden]
	RoleStreamPredict Role = "stream_predict" // [n·n][n]
	RoleStreamCorrect Role = "stream_correct" // [n][n]
	RoleStreamScale   Role = "stream_scale"   // [Hidden]
	RoleShortcutIn    Role = "shortcut_in"    // [Shortcut][Hidden]
	RoleShortcutOut   Role = "shortcut_out"   // [Hidden][Shortcut]
	RoleShortcutNorm  Role = "shortcut_norm"  // [Hidden]
	RoleAttnNorm      Role = "attn_norm"      // [Hidden]
	RoleAttnNormBias  Role = "attn_norm_bias"
	RoleQ             Role = "q" // [Heads·HeadDim][Hidden]
	RoleQBias         Role = "q_bias"
	RoleK             Role = "k" // [KVHeads·HeadDim][Hidden]
	RoleKBias         Role = "k_bias"
	RoleV             Role = "v" // [KVHeads·HeadDim][Hidden]
	RoleVBias         Role = "v_bias"
	RoleQNorm         Role = "q_norm" // [HeadDim], [Heads·HeadDim] or [Heads][HeadDim]
	RoleKNorm         Role = "k_norm" // [HeadDim], [KVHeads·HeadDim] or [KVHeads][HeadDim]
	RoleQDown         Role = "q_down" // [QRank][Hidden]
	RoleQDownBias     Role = "q_down_bias"
	RoleQDownNorm     Role = "q_down_norm" // [QRank]
	RoleQUp           Role = "q_up"        // [Heads·HeadDim][QRank]
	RoleKVDown        Role = "kv_down"     // [KVRank+SharedDim][Hidden]
	RoleKVDownBias    Role = "kv_down_bias"
	RoleKVDownNorm    Role = "kv_down_norm" // [KVRank]
	RoleKUp           Role = "k_up"         // [Heads·(HeadDim−SharedDim)][KVRank]
	RoleVUp           Role = "v_up"         // [Heads·ValueDim][KVRank]
	RoleO             Role = "o"            // [Hidden][Heads·HeadDim]
	RoleOBias         Role = "o_bias"
	RolePostAttnNorm  Role = "post_attn_norm"
	RoleOutGate       Role = "out_gate" // [Heads·HeadDim][Hidden], or of a recurrence [Heads·ValueDim][Hidden]
	RoleOutGateBias   Role = "out_gate_bias"
	// Of a recurrence besides. Its q and k are [KeyHeads·KeyDim][Hidden], its v is [Heads·ValueDim][Hidden].
	RoleInGate     Role = "in_gate" // as v
	RoleInGateBias Role = "in_gate_bias"
	// The q, k, v and o of a recurrence that stands beside attention.
	RoleStateQ        Role = "state_q"
	RoleStateK        Role = "state_k"
	RoleStateV        Role = "state_v"
	RoleStateO        Role = "state_o"
	RoleConvQ         Role = "conv_q" // [KeyHeads·KeyDim][Taps]
	RoleConvK         Role = "conv_k" // [KeyHeads·KeyDim][Taps]
	RoleConvV         Role = "conv_v" // [Heads·ValueDim][Taps]
	RoleConvQBias     Role = "conv_q_bias"
	RoleConvKBias     Role = "conv_k_bias"
	RoleConvVBias     Role = "conv_v_bias"
	RoleWrite         Role = "write"      // [Heads][Hidden]
	RoleDecay         Role = "decay"      // [Heads][Hidden]
	RoleDecayBias     Role = "decay_bias" // [Heads]
	RoleDecayLog      Role = "decay_log"  // [Heads]
	RoleSkip          Role = "skip"       // [Heads]
	RoleHeadsNorm     Role = "heads_norm" // [Heads·ValueDim/NormGroups] or [Heads·ValueDim]
	RoleMLPNorm       Role = "mlp_norm"
	RoleMLPNormBias   Role = "mlp_norm_bias"
	RoleSinks         Role = "sinks"          // [Heads]
	RoleRouterNorm    Role = "router_norm"    // [Hidden]
	RoleExpertScale   Role = "expert_scale"   // [Experts]
	RoleExpertsNorm   Role = "experts_norm"   // [Hidden]
	RoleRouter        Role = "router"         // [Experts][Hidden]
	RoleRouterBias    Role = "router_bias"    // [Experts]
	RoleSelectionBias Role = "selection_bias" // [Experts]
	RoleExpertIn      Role = "expert_in"      // [ExpertWidth][Hidden]
	RoleExpertOut     Role = "expert_out"     // [Hidden][ExpertWidth]
	RoleGate          Role = "gate"           // [Intermediate][Hidden], or [Experts][Intermediate][Hidden or ExpertWidth]
	RoleGateBias      Role = "gate_bias"
	RoleUp            Role = "up" // as gate
	RoleUpBias        Role = "up_bias"
	// The numbers of XIELU, [1] each: p is softplus(act_positive), n is act_beta + softplus(act_negative), b is act_beta.
	RoleActPositive   Role = "act_positive"
	RoleActNegative   Role = "act_negative"
	RoleActBeta       Role = "act_beta"
	RoleActEps        Role = "act_eps"
	RoleDown          Role = "down" // [Hidden][Intermediate], or [Experts][Hidden or ExpertWidth][Intermediate]
	RoleDownBias      Role = "down_bias"
	RoleSharedGate    Role = "shared_gate" // [Shared][Hidden]
	RoleSharedUp      Role = "shared_up"
	RoleSharedDown    Role = "shared_down"       // [Hidden][Shared]
	RoleSharedRouter  Role = "shared_router"     // [1][Hidden]
	RolePostExperts   Role = "post_experts_norm" // [Hidden]
	RolePostShared    Role = "post_shared_norm"  // [Hidden]
	RolePostMLPNorm   Role = "post_mlp_norm"
	RoleInputGate     Role = "input_gate" // [LayerInputs.Width][Hidden]
	RoleInputOut      Role = "input_out"  // [Hidden][LayerInputs.Width]
	RolePostInputNorm Role = "post_input_norm"
	RoleOutScale      Role = "out_scale"  // [1]
	RoleFinalNorm     Role = "final_norm" // [Hidden]
	RoleFinalNormBias Role = "final_norm_bias"
	RoleHead          Role = "head" // [Vocab][Hidden]
	RoleHeadBias      Role = "head_bias"
	NoLayer                = -1 // Tensor.Layer of a tensor outside the layers
)

// Tensor names one tensor of a model. Its last dimension is the one that a product sums over;
// all the others together are its rows.
type Tensor struct {
	Name  string // as in the checkpoint
	Role  Role
	Layer int   // NoLayer outside the layers
	Shape []int // [cols], [rows][cols] or [experts][rows][cols]
}

// ActRoles are the numbers of XIELU in the order in which they are computed with.
var ActRoles = []Role{RoleActPositive, RoleActNegative, RoleActBeta, RoleActEps}

// Rows reports how many rows the tensor has; a vector has one.
func (t Tensor) Rows() int {
	n := 1
	for _, d := range t.Shape[:len(t.Shape)-1] {
		n *= d
	}
	return n
}

// Cols reports how many elements a row has.
func (t Tensor) Cols() int { return t.Shape[len(t.Shape)-1] }

// Quantizable reports whether the tensor is a matrix that may be stored as blocks: the rest (norms,
// biases, routers, position tables) is small or too sensitive.
func (t Tensor) Quantizable() bool {
	switch t.Role {
	case RoleEmbed, RoleQ, RoleK, RoleV, RoleQDown, RoleQUp, RoleKVDown, RoleKUp, RoleVUp, RoleInGate, RoleOutGate, RoleO, RoleStateQ, RoleStateK, RoleStateV, RoleStateO, RoleGate, RoleUp, RoleDown,
		RoleSharedGate, RoleSharedUp, RoleSharedDown, RoleLayerEmbed, RoleLayerProject, RoleInputGate, RoleInputOut,
		RoleStreamIn, RoleStreamOut, RoleShortcutIn, RoleShortcutOut, RoleHead:
		return true
	}
	return false
}

// Weights hands out the tensors of a model as float32 rows. It may be called from several
// goroutines.
type Weights interface {
	Spec() *Spec
	// Tensors lists the tensors in the order of Spec.Tensors.
	Tensors() []Tensor
	// Rows fills dst, [n][Cols], with rows row0 to row0+n−1 of tensor i.
	Rows(i, row0, n int, dst []float32) error
}

// Tensors lists role, layer and shape of every tensor of the model in order of use: embedding,
// layers, final norm, head. The names are left empty.
func (s *Spec) Tensors() []Tensor {
	l := list{spec: s, layer: NoLayer}
	l.add(RoleEmbed, s.Vocab, s.Hidden)
	l.when(s.Positions > 0, RolePositions, s.Positions, s.Hidden)
	l.norm(s.EmbedNorm, RoleEmbedNorm, RoleEmbedNormBias)
	if n := s.LayerInputs.Width; n > 0 {
		l.add(RoleLayerEmbed, s.LayerInputs.Tokens, len(s.Layers)*n)
		l.add(RoleLayerProject, len(s.Layers)*n, s.Hidden)
		l.add(RoleLayerNorm, n)
	}
	if n := s.Streams.Count - 1; n > 0 {
		l.add(RoleStreamIn, n, s.Hidden, s.Hidden)
	}
	for i := range s.Layers {
		l.layer = i
		l.streams()
		if y := s.Layer(i); y.Mixes() {
			l.attention(y)
		}
		if y := s.Layer(i); y.Feeds() {
			l.mlp(y)
		}
		l.input(s.Layer(i))
	}
	l.layer = NoLayer
	if n := s.Streams.Count - 1; n > 0 {
		l.add(RoleStreamOut, n, s.Hidden, s.Hidden)
	}
	l.norm(true, RoleFinalNorm, RoleFinalNormBias)
	l.when(!s.TiedHead, RoleHead, s.Vocab, s.Hidden)
	l.when(s.HeadBias, RoleHeadBias, s.Vocab)
	return l.tensors
}

// list collects the tensors of one layer after the other.
type list struct {
	spec     *Spec
	layer    int
	shortcut int // of the layer
	tensors  []Tensor
}

func (l *list) add(r Role, shape ...int) {
	l.tensors = append(l.tensors, Tensor{Role: r, Layer: l.layer, Shape: shape})
}

func (l *list) when(ok bool, r Role, shape ...int) {
	if ok {
		l.add(r, shape...)
	}
}

func (l *list) norm(ok bool, weight, bias Role) {
	l.when(ok && !l.spec.Norm.Unweighted, weight, l.spec.Hidden)
	l.when(ok && l.spec.Norm.Bias, bias, l.spec.Hidden)
}

func (l *list) attention(y *Layer) {
	a, h := &y.Attention, l.spec.Hidden
	l.norm(y.PreNorm, RoleAttnNorm, RoleAttnNormBias)
	switch {
	case !y.Attends():
		l.recurrence(y)
	case a.KVRank > 0:
		l.latent(a)
	default:
		l.shortcut = y.Shortcut
		l.heads(a)
	}
	if y.Twofold() {
		l.recurrence(y)
	}
	l.when(a.Sinks, RoleSinks, a.Heads)
	l.add(RoleO, h, y.Mixed())
	l.when(a.OutBias || y.Recurrence.Bias, RoleOBias, h)
	l.when(y.Twofold(), RoleStateO, h, y.Recurrence.Width())
	l.when(y.PostNorm, RolePostAttnNorm, h)
}

// heads lists the projections to queries, keys and values.
func (l *list) heads(a *Attention) {
	h, q, kv := l.spec.Hidden, a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	l.add(RoleQ, q, h)
	l.when(!a.SharedKV, RoleK, kv, h)
	l.when(!a.SharedKV && !a.KeyValues, RoleV, kv, h)
	l.when(l.shortcut > 0, RoleShortcutIn, l.shortcut, h)
	l.when(l.shortcut > 0, RoleShortcutOut, h, l.shortcut)
	l.when(l.shortcut > 0, RoleShortcutNorm, h)
	l.when(a.Gated, RoleOutGate, q, h)
	l.when(a.QKVBias, RoleQBias, q)
	l.when(a.QKVBias && !a.SharedKV, RoleKBias, kv)
	l.when(a.QKVBias && !a.SharedKV && !a.KeyValues, RoleVBias, kv)
	l.when(a.QKVBias && a.Gated, RoleOutGateBias, q)
	switch a.QKNorm {
	case QKNormHead, QKNormRotated:
		l.add(RoleQNorm, a.HeadDim)
		l.when(!a.SharedKV, RoleKNorm, a.HeadDim)
	case QKNormHeads:
		l.add(RoleQNorm, a.Heads, a.HeadDim)
		l.when(!a.SharedKV, RoleKNorm, a.KVHeads, a.HeadDim)
	case QKNormProjection:
		l.add(RoleQNorm, q)
		l.when(!a.SharedKV, RoleKNorm, kv)
	}
}

func (l *list) mlp(y *Layer) {
	m, h := &y.MLP, l.spec.Hidden
	outer := m.Outer(h)
	stack := func(shape ...int) []int {
		if m.Experts > 0 {
			return append([]int{m.Experts}, shape...)
		}
		return shape
	}
	l.norm(y.PreNorm && !y.OneNorm, RoleMLPNorm, RoleMLPNormBias)
	l.when(m.Apart, RoleRouterNorm, h)
	l.when(m.Experts > 0, RoleRouter, m.Experts, h)
	l.when(m.Experts > 0 && m.RouterBias, RoleRouterBias, m.Experts)
	l.when(m.Experts > 0 && m.SelectionBias, RoleSelectionBias, m.Experts)
	l.when(m.ExpertScale, RoleExpertScale, m.Experts)
	l.when(m.Apart, RoleExpertsNorm, h)
	l.when(m.ExpertWidth > 0, RoleExpertIn, m.ExpertWidth, h)
	l.when(m.Gated, RoleGate, stack(m.Intermediate, outer)...)
	l.when(m.Gated && m.Bias, RoleGateBias, stack(m.Intermediate)...)
	l.add(RoleUp, stack(m.Intermediate, outer)...)
	l.when(m.Bias, RoleUpBias, stack(m.Intermediate)...)
	if m.Activation == XIELU {
		for _, r := range ActRoles {
			l.add(r, 1)
		}
	}
	l.add(RoleDown, stack(outer, m.Intermediate)...)
	l.when(m.Bias, RoleDownBias, stack(outer)...)
	l.when(m.ExpertWidth > 0, RoleExpertOut, h, m.ExpertWidth)
	l.when(m.Apart, RolePostExperts, h)
	l.when(m.Shared > 0 && m.SharedGated, RoleSharedRouter, 1, h)
	l.when(m.Shared > 0 && m.Gated, RoleSharedGate, m.Shared, h)
	l.when(m.Shared > 0, RoleSharedUp, m.Shared, h)
	l.when(m.Shared > 0, RoleSharedDown, h, m.Shared)
	l.when(m.Apart, RolePostShared, h)
	l.when(y.PostNorm, RolePostMLPNorm, h)
}

// streams lists what mixes the residual streams in a layer.
func (l *list) streams() {
	h, n := l.spec.Hidden, l.spec.Streams.Count
	l.when(n > 0, RoleStreamNorm, h)
	l.when(n > 0, RoleStreamRouter, n, h)
	l.when(n > 0, RoleStreamPredict, n*n, n)
	l.when(n > 0, RoleStreamCorrect, n, n)
	l.when(n > 0 && l.spec.Streams.InputScaled, RoleStreamScale, h)
}

// input lists what a layer does with its input, and at its end.
func (l *list) input(y *Layer) {
	h, n := l.spec.Hidden, l.spec.LayerInputs.Width
	l.when(y.TakesInput, RoleInputGate, n, h)
	l.when(y.TakesInput, RoleInputOut, h, n)
	l.when(y.TakesInput, RolePostInputNorm, h)
	l.when(y.OutScale, RoleOutScale, 1)
}

// Elements reports how many weights the tensors have together.
func Elements(tensors []Tensor) int64 {
	var n int64
	for _, t := range tensors {
		n += int64(t.Rows()) * int64(t.Cols())
	}
	return n
}
