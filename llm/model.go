package llm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// What a caller may want to branch on.
var (
	ErrBusy       = errors.New("busy: the session is already generating")
	ErrClosed     = errors.New("closed")
	ErrTooLong    = errors.New("the prompt is too long")
	ErrNoSequence = errors.New("all sequences of the model are in use: close a session, or open the model with more Sequences")
)

// Model is a loaded model. Its methods may be called from several goroutines; the engine takes one step at a time.
type Model struct {
	vocabulary Vocabulary
	device     *gpu.Device // nil: the model runs on the CPU
	where      string
	memory     map[string]uint64
	close      func() error
	identify   func(ctx context.Context) (string, error) // see Parts

	pieces      sync.Once
	pieceBytes  [][]byte // of tokens, once TokenText was asked for
	breaks      lastBreaks
	forms       sync.Once
	forGrammars *grammar.Vocabulary // once Form was asked for

	mu       sync.Mutex // guards what follows, and is held while the engine computes a step
	engine   Engine
	context  int        // tokens of a sequence
	sessions []*Session // by sequence, nil: it is free
	closed   bool
}

// Parts are what a Model is made of.
type Parts struct {
	Engine     Engine
	Vocabulary Vocabulary
	Device     *gpu.Device       // the one that the Engine runs on, nil: none
	Where      string            // what Model.String says, "": the device's name
	Memory     map[string]uint64 // that the CPU engine takes, in bytes by purpose; nil on a GPU
	Close      func() error      // called by Model.Close, nil: whoever made the parts gives them back

	// Identify returns a hash that no other weights have. It is called where sequences are saved or restored; nil: they cannot be.
	Identify func(ctx context.Context) (string, error)
}

// New makes a Model from its parts. Open does so for a directory.
func New(p Parts) *Model {
	m := &Model{vocabulary: p.Vocabulary, device: p.Device, where: p.Where, memory: p.Memory, close: p.Close, identify: p.Identify, engine: p.Engine}
	if m.where == "" && p.Device != nil {
		m.where = p.Device.Info().String()
	}
	m.context = p.Engine.Room() // of a sequence that is empty
	m.sessions = make([]*Session, p.Engine.Sequences())
	return m
}

// Vocabulary returns how the model reads and writes.
func (m *Model) Vocabulary() *Vocabulary { return &m.vocabulary }

// VocabSize reports how many logits a token has.
func (m *Model) VocabSize() int { return m.engine.VocabSize() }

// Context reports how many tokens a sequence has room for: prompt and generated text.
func (m *Model) Context() int { return m.context }

// Sequences reports how many sessions the model has room for.
func (m *Model) Sequences() int { return len(m.sessions) }

// Device returns the GPU that the model runs on, nil: it runs on the CPU.
func (m *Model) Device() *gpu.Device { return m.device }

// Memory says what the model takes, in bytes by purpose: of its GPU, or, on the CPU, of main memory. There, "mapped
// weights" are those that are read directly from the bundle's file: the system counts them as page cache.
func (m *Model) Memory() map[string]uint64 {
	if m.device != nil {
		return m.device.Memory()
	}
	return m.memory
}

// String says where the model runs: "NVIDIA H100 80GB HBM3 (Vulkan, discrete, NVIDIA)".
func (m *Model) String() string { return m.where }

// NewSession takes one of the model's sequences. The error is ErrNoSequence if all are taken, or ErrClosed.
func (m *Model) NewSession() (*Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("model: %w", ErrClosed)
	}
	for i, s := range m.sessions {
		if s == nil {
			return m.newSession(i), nil
		}
	}
	return nil, ErrNoSequence
}

// newSession makes the session of a free sequence. It needs m.mu.
func (m *Model) newSession(sequence int) *Session {
	s := &Session{m: m, sequence: sequence, own: math.MaxInt}
	_ = m.engine.Select(sequence) // there is one
	m.engine.Reset()
	m.sessions[sequence] = s
	return s
}

// Request is one of several texts to be continued.
type Request struct {
	Prompt  []int32 // tokens, see Vocabulary.Prompt and Vocabulary.Conversation
	Options GenerateOptions
}

// Batch continues several prompts, as many at once as the model has free sequences; when one text ends, the next prompt takes its place.
// Prompts start in order; on a GPU, what begins like another is copied from it, not computed. Each step reads the weights once for all
// running texts. Each text is the one that its prompt would get alone, unless rounding decides between two tokens.
// Piece.Index says which request a piece belongs to; the last piece of each has the Result.
//
// An error ends all texts. If it is the context's, each unfinished text first yields a last piece with FinishCanceled.
func (m *Model) Batch(ctx context.Context, requests []Request) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		l := loop{m: m}
		for i := range requests {
			r, err := newRun(i, m, requests[i].Prompt, &requests[i].Options)
			if err != nil {
				yield(Piece{}, l.named(i, err))
				return
			}
			l.waiting = append(l.waiting, r)
		}
		sessions, err := m.takeAll()
		if err != nil {
			yield(Piece{}, err)
			return
		}
		defer func() {
			for _, s := range sessions {
				s.Close()
			}
		}()
		l.free = append(l.free, sessions...)
		if _, ok := m.engine.(Copier); ok {
			l.share = func(r *run) error {
				_, err := r.takeOver(sessions)
				return err
			}
		}
		l.run(ctx, yield)
	}
}

// takeAll makes sessions of all free sequences.
func (m *Model) takeAll() ([]*Session, error) {
	var all []*Session
	for {
		s, err := m.NewSession()
		switch {
		case err == nil:
			all = append(all, s)
		case len(all) > 0:
			return all, nil
		default:
			return nil, err
		}
	}
}

// Close releases the model. Cancel running generations first: they fail with ErrClosed at their next step.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if m.close == nil {
		return nil
	}
	return m.close()
}
