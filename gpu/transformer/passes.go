package transformer

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// passes keeps the programs of passes, which are recorded the first time that they are asked for.
type passes struct {
	graph  *graph.Graph
	bodies map[bodyKey]body
	heads  map[headKey]*gpu.Program
	shift  *gpu.Program // nil: it was not needed yet
}

// bodyKey names the body of a pass: how many tokens, and into how many parts their attention cuts the cached
// positions.
type bodyKey struct {
	n, parts int
	order    graph.Order
	traced   bool // see graph.Traced
}

// headKey names a head: how many tokens, what prepares their final norm, see graph.Body, and where their logits go, see graph.Head.
type headKey struct{ n, squares, place int }

// body is what a pass does before the head.
type body struct {
	programs []*gpu.Program // the embedding, then each layer
	squares  int            // see graph.Body
}

func newPasses(g *graph.Graph) passes {
	return passes{graph: g, bodies: map[bodyKey]body{}, heads: map[headKey]*gpu.Program{}}
}

// key names the body of a pass of n tokens in this order, at a context of the given length.
func (p *passes) key(n, context int, order graph.Order) bodyKey {
	return bodyKey{n: n, parts: p.graph.Parts(n, context), order: p.graph.Order(n, context, order)}
}

// body returns the programs of a body.
func (p *passes) body(key bodyKey) (body, error) {
	if b, ok := p.bodies[key]; ok {
		return b, nil
	}
	record := p.graph.Body
	if key.traced {
		record = p.graph.Traced
	}
	recorded, err := record(key.n, key.parts, key.order)
	if err != nil {
		return body{}, err
	}
	b := body{squares: recorded.Squares}
	for _, pass := range recorded.Passes {
		program, err := p.graph.Program(pass)
		if err != nil {
			return body{}, err
		}
		b.programs = append(b.programs, program)
	}
	p.bodies[key] = b
	return b, nil
}

// headAt names the head of n tokens that begin at row from, after a body that has prepared squares sums of squares per
// token. Only the first rows have them.
func headAt(from, n, squares, place int) headKey {
	if from > 0 {
		squares = 0
	}
	return headKey{n, squares, place}
}

// head returns the program of a head.
func (p *passes) head(key headKey) (*gpu.Program, error) {
	if program := p.heads[key]; program != nil {
		return program, nil
	}
	pass, err := p.graph.Head(key.n, key.squares, key.place)
	if err != nil {
		return nil, err
	}
	program, err := p.graph.Program(pass)
	if err != nil {
		return nil, err
	}
	p.heads[key] = program
	return program, nil
}

// record returns, without making programs, all passes from the embedding to the candidates of the last m of n
// tokens.
func (t *Transformer) record(key bodyKey, m int) ([]*graph.Pass, error) {
	b, err := t.graph.Body(key.n, key.parts, key.order)
	if err != nil {
		return nil, err
	}
	h := headAt(key.n-m, m, b.Squares, 0)
	head, err := t.graph.Head(h.n, h.squares, h.place)
	if err != nil {
		return nil, err
	}
	top, err := t.finder.record(finding{m, 0, 1})
	return append(slices.Clone(b.Passes), head, top), err
}

// RecordBatch feeds a token to each of several sequences, but instead of running the passes, from the embedding to the
// candidates, it returns them for the caller to run.
func (t *Transformer) RecordBatch(sequences []int, tokens []int32) ([]*graph.Pass, error) {
	rows, err := t.batch(sequences, tokens)
	if err != nil {
		return nil, err
	}
	t.dropLead()
	if err := t.graph.Feed(rows); err != nil {
		return nil, err
	}
	if err := t.graph.SetHead(len(rows), 0); err != nil {
		return nil, err
	}
	passes, err := t.record(t.passes.key(len(rows), longest(rows), graph.Single), len(rows))
	if err != nil {
		return nil, err
	}
	t.fed(rows)
	return passes, nil
}

// Record feeds the first chunk of tokens, but instead of running the passes, from the embedding to the candidates of the
// last token, it returns them for the caller to run.
func (t *Transformer) Record(tokens []int32) ([]*graph.Pass, error) {
	if err := t.accept(t.sequences.selected, tokens); err != nil {
		return nil, err
	}
	t.dropLead()
	n := t.chunk(len(tokens))
	rows := t.rowsOf(tokens[:n])
	if err := t.graph.Feed(rows); err != nil {
		return nil, err
	}
	if err := t.graph.SetHead(1, n-1); err != nil {
		return nil, err
	}
	passes, err := t.record(t.passes.key(n, longest(rows), graph.InOrder), 1)
	if err != nil {
		return nil, err
	}
	t.sequences.positions[t.sequences.selected] += n
	return passes, nil
}
