package calibrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// track is one of the two models on its way through the text.
type track struct {
	engine  *cpu.Engine
	layer   int         // that the windows are in or before; NoLayer: none yet
	windows []*sequence // the text
	kept    int         // so many windows wait within the layer for the next matrix; the others begin it anew for each
}

// sequence is a window of the text.
type sequence struct {
	text    *cpu.Text
	stream  []float32    // [tokens][hidden], the residual stream before the layer, or where the passage is
	passage *cpu.Passage // nil: the layer has not begun
	sent    [][]cpu.Sent // what the layer's router sends to its experts, once that is known
}

// keepBytes is about how much memory windows that wait within a layer may take, for each of the two models.
const keepBytes = 1 << 29

func newTrack(w model.Weights, windows [][]int32) (*track, error) {
	k := &track{layer: model.NoLayer, kept: len(windows)}
	longest, width, s := 0, 0, w.Spec()
	for _, y := range s.Kinds {
		width = max(width, 4*s.Hidden+2*y.Mixed()+2*y.Recurrence.Width()+2*y.Recurrence.Channels()+2*max(y.MLP.Intermediate, y.MLP.Shared))
	}
	for _, tokens := range windows {
		longest = max(longest, len(tokens))
		k.windows = append(k.windows, &sequence{text: cpu.NewText(tokens)})
	}
	k.kept = min(k.kept, keepBytes/(4*longest*width))
	var err error
	k.engine, err = cpu.New(w, cpu.Options{MaxSeqLen: longest, WatchKV: true})
	return k, err
}

func (k *track) close() {
	if k == nil {
		return
	}
	for _, s := range k.windows {
		if s.passage != nil {
			s.passage.Close()
			s.passage = nil
		}
	}
}

// inputs are what a matrix is given for one window, [tokens][cols], and the residual stream that what it makes is added
// to, [tokens][hidden]. They hold until release is called, which is to be done before anything else is asked for.
type inputs struct {
	x, stream []float32
	release   func()
}

// inputs runs the layer of window w up to the matrix of a role.
func (k *track) inputs(ctx context.Context, w int, role model.Role) (in inputs, err error) {
	s := k.windows[w]
	p, stream, text, release := s.passage, s.stream, s.text, func() {}
	if w >= k.kept {
		stream, text = slices.Clone(s.stream), s.text.Clone()
		p = nil
	}
	if p == nil {
		if p, err = k.engine.Enter(ctx, k.layer, text, stream); err != nil {
			return in, err
		}
		if w < k.kept {
			s.passage = p
		} else {
			release = p.Close
		}
	}
	if stream, err = k.reach(ctx, p, stream, role); err != nil {
		release()
		return in, err
	}
	return inputs{p.Inputs, stream, release}, nil
}

// reach takes a passage on to the matrix of a role, and returns the stream that what it makes is added to: for that of
// a shared expert, which is the last of its layer to be quantized, with what the other experts make.
func (k *track) reach(ctx context.Context, p *cpu.Passage, stream []float32, role model.Role) (_ []float32, err error) {
	for !sameInputs(p.Role, role) {
		if p.Role == "" {
			return nil, fmt.Errorf("layer %d: the text is past matrix %q", k.layer, role)
		}
		if role == model.RoleSharedDown && p.Role.Input() == model.InputShared && !k.engine.Weights().Spec().Layer(k.layer).MLP.Apart {
			experts, err := k.engine.Experts(ctx, k.layer, p.Inputs)
			if err != nil {
				return nil, err
			}
			scale := k.engine.Weights().Spec().Layer(k.layer).ResidualScale
			sum := slices.Clone(stream)
			for i, v := range experts {
				sum[i] += scale * v
			}
			for p.Role != role && err == nil {
				err = p.Next()
			}
			return sum, err
		}
		if err := p.Next(); err != nil {
			return nil, err
		}
	}
	return stream, nil
}

// sameInputs reports whether matrices of two roles have the same inputs. The experts' gate and up projections are found
// where the router is: behind it each has its own.
func sameInputs(at, wanted model.Role) bool {
	if wanted == model.RoleRouter && at.Input() == model.InputShared {
		return true
	}
	return at == wanted || at.Input() == wanted.Input() && at.Input() != model.InputNone
}

// advance moves all windows on to the next layer.
func (k *track) advance(ctx context.Context, text [][]int32) (err error) {
	for w, s := range k.windows {
		s.sent = nil
		switch {
		case k.layer == model.NoLayer:
			s.stream, err = k.engine.Embed(text[w])
		case s.passage != nil:
			for s.passage.Role != "" && err == nil {
				err = s.passage.Next()
			}
			s.passage.Close()
			s.passage = nil
		default:
			err = k.engine.Layer(ctx, k.layer, s.text, s.stream)
		}
		if err != nil {
			return err
		}
	}
	k.layer++
	return nil
}
