package model

// Input names the vectors that a matrix multiplies. Matrices of one layer with the same Input are
// given the same vectors.
type Input string

// The vectors that the matrices of a layer are given.
const (
	InputNone        Input = ""             // outside the layers, or no matrix to be quantized
	InputAttention   Input = "attention"    // the normalized residual stream: q, k, v, gates, q_down, kv_down
	InputQLatent     Input = "q_latent"     // the normalized latent vector of queries: q_up
	InputKVLatent    Input = "kv_latent"    // that of keys and values: k_up, v_up
	InputHeads       Input = "heads"        // outputs of the heads of attention or of a recurrence: o
	InputState       Input = "state"        // outputs of the heads of a recurrence beside attention: state_o
	InputMLP         Input = "mlp"          // the normalized residual stream: gate, up; of an expert, what it is sent
	InputInner       Input = "inner"        // between the halves of the MLP, or of an expert: down
	InputShared      Input = "shared"       // the normalized residual stream: gate and up of the shared expert
	InputSharedInner Input = "shared_inner" // between its halves
	InputShortcut    Input = "shortcut"     // what shortcut_in makes: shortcut_out
	InputStream      Input = "stream"       // the residual stream behind the MLP: input_gate
	InputLayer       Input = "layer"        // the layer's input, times what input_gate makes: input_out
)

// Input says which vectors a matrix of this role is given. This is the one table of what shares
// inputs: whoever calibrates, rounds or trains a matrix for its inputs reads it.
func (r Role) Input() Input {
	switch r {
	case RoleQ, RoleK, RoleV, RoleInGate, RoleOutGate, RoleQDown, RoleKVDown, RoleStateQ, RoleStateK, RoleStateV, RoleShortcutIn:
		return InputAttention
	case RoleQUp:
		return InputQLatent
	case RoleKUp, RoleVUp:
		return InputKVLatent
	case RoleO:
		return InputHeads
	case RoleStateO:
		return InputState
	case RoleGate, RoleUp:
		return InputMLP
	case RoleDown:
		return InputInner
	case RoleSharedGate, RoleSharedUp:
		return InputShared
	case RoleSharedDown:
		return InputSharedInner
	case RoleShortcutOut:
		return InputShortcut
	case RoleInputGate:
		return InputStream
	case RoleInputOut:
		return InputLayer
	}
	return InputNone
}

// Remembered reports whether matrices make keys and values of the input, which later tokens attend to.
func (in Input) Remembered() bool { return in == InputAttention || in == InputKVLatent }

// SharesInputs reports whether two matrices are given the same vectors.
func (t Tensor) SharesInputs(o Tensor) bool {
	return t.Layer == o.Layer && t.Role.Input() != InputNone && t.Role.Input() == o.Role.Input()
}
