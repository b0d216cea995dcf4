package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/nlpodyssey/safetensors"
)

// Golden is what an independent implementation computed for a sequence of tokens.
type Golden struct {
	IDs    []int32     // [tokens]
	Vocab  int         //
	Logits []float32   // [tokens][Vocab]
	Hidden [][]float32 // nil, or hidden.0 (embedding) to hidden.N (final norm), each [tokens][width]
}

// maxGoldenFile bounds what is read into memory, maxGoldenHeader the JSON in front.
const (
	maxGoldenFile   = 4 << 30
	maxGoldenHeader = 1 << 20
)

// ReadGolden reads golden.safetensors: input_ids [tokens] (I64 or I32), logits [tokens][vocab]
// (F32) and, if there, hidden.0, hidden.1 … [tokens][width] (F32). Anything else is an error.
func ReadGolden(path string) (*Golden, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxGoldenFile {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", path, info.Size(), int64(maxGoldenFile))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g, err := parseGolden(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

func parseGolden(data []byte) (*Golden, error) {
	if len(data) < 8 || binary.LittleEndian.Uint64(data) > maxGoldenHeader {
		return nil, errors.New("not a golden safetensors file: no header of a plausible size")
	}
	file, err := safetensors.Deserialize(data)
	if err != nil {
		return nil, err
	}
	g := new(Golden)
	if err := g.readIDs(file); err != nil {
		return nil, err
	}
	if g.Logits, g.Vocab, err = matrix(file, "logits", len(g.IDs)); err != nil {
		return nil, err
	}
	for i, id := range g.IDs {
		if int(id) >= g.Vocab {
			return nil, fmt.Errorf(`tensor "input_ids": token %d is %d, "logits" has %d columns`, i, id, g.Vocab)
		}
	}
	return g, g.readHidden(file)
}

func (g *Golden) readIDs(file safetensors.SafeTensors) error {
	const name = "input_ids"
	t, ok := file.Tensor(name)
	if !ok {
		return fmt.Errorf("tensor %q: missing", name)
	}
	if len(t.Shape()) != 1 || t.Shape()[0] == 0 {
		return fmt.Errorf("tensor %q: shape %v, want [tokens]", name, t.Shape())
	}
	data := t.Data()
	for len(data) > 0 {
		var id int64
		switch t.DType() {
		case safetensors.I64:
			id, data = int64(binary.LittleEndian.Uint64(data)), data[8:]
		case safetensors.I32:
			id, data = int64(int32(binary.LittleEndian.Uint32(data))), data[4:]
		default:
			return fmt.Errorf("tensor %q: type %s, want I64 or I32", name, t.DType())
		}
		if id < 0 || id > math.MaxInt32 {
			return fmt.Errorf("tensor %q: token %d is %d", name, len(g.IDs), id)
		}
		g.IDs = append(g.IDs, int32(id))
	}
	return nil
}

func (g *Golden) readHidden(file safetensors.SafeTensors) error {
	count := file.Len() - 2 // beside input_ids and logits
	for _, name := range file.Names() {
		if name == "input_ids" || name == "logits" {
			continue
		}
		n, ok := strings.CutPrefix(name, "hidden.")
		if i, err := strconv.Atoi(n); !ok || err != nil || i < 0 || i >= count || strconv.Itoa(i) != n {
			return fmt.Errorf("tensor %q: unexpected (want input_ids, logits, hidden.0 … without a gap)", name)
		}
	}
	for i := range count {
		h, width, err := matrix(file, fmt.Sprintf("hidden.%d", i), len(g.IDs))
		if err != nil {
			return err
		}
		if i > 0 && len(h) != len(g.Hidden[0]) {
			return fmt.Errorf(`tensor "hidden.%d": %d columns, "hidden.0" has %d`, i, width, len(g.Hidden[0])/len(g.IDs))
		}
		g.Hidden = append(g.Hidden, h)
	}
	return nil
}

// matrix reads a finite F32 tensor [rows][cols].
func matrix(file safetensors.SafeTensors, name string, rows int) (values []float32, cols int, err error) {
	t, ok := file.Tensor(name)
	if !ok {
		return nil, 0, fmt.Errorf("tensor %q: missing", name)
	}
	if t.DType() != safetensors.F32 {
		return nil, 0, fmt.Errorf("tensor %q: type %s, want F32", name, t.DType())
	}
	shape := t.Shape()
	if len(shape) != 2 || shape[0] != uint64(rows) || shape[1] == 0 {
		return nil, 0, fmt.Errorf("tensor %q: shape %v, want [%d][columns]", name, shape, rows)
	}
	values = make([]float32, len(t.Data())/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data()[4*i:]))
	}
	if i := firstNonFinite(values); i >= 0 {
		return nil, 0, fmt.Errorf("tensor %q: value %d is %v", name, i, values[i])
	}
	return values, len(values) / rows, nil
}

// GoldenResult says how far a model is from golden values.
type GoldenResult struct {
	Distance
	MeanKLD float64 `json:"mean_kld"` // of the model from the golden logits, nats, over all tokens
	Top1    float64 `json:"top1"`
	Tokens  int     `json:"tokens"`
	Layers  []Stage `json:"layers,omitempty"` // if there are golden hidden states and f can be traced
}

// Compare runs f over the golden tokens. name is what to call f in errors.
func (g *Golden) Compare(ctx context.Context, name string, f Forwarder) (*GoldenResult, error) {
	if v := f.VocabSize(); v != g.Vocab {
		return nil, fmt.Errorf("golden: logits of %d tokens, %s has a vocabulary of %d", g.Vocab, name, v)
	}
	s := &side{name: name, f: f, vocab: g.Vocab}
	hidden, err := s.record(ctx, g.IDs, len(g.Hidden) > 0)
	if err != nil {
		return nil, fmt.Errorf("golden: %w", err)
	}
	r := &GoldenResult{Tokens: len(g.IDs)}
	var d deltas
	for i := range g.IDs {
		want := g.Logits[i*g.Vocab : (i+1)*g.Vocab]
		c, err := compare(want, s.row(i))
		if err != nil {
			return nil, fmt.Errorf("golden: %s: token %d: %w", name, i, err)
		}
		d.add(want, s.row(i))
		d.top(want, s.row(i))
		r.MeanKLD += c.kld / float64(len(g.IDs))
	}
	r.Distance, r.Top1 = d.distance(), float64(d.same)/float64(len(g.IDs))
	if hidden != nil {
		r.Layers, err = g.stages(name, hidden)
	}
	return r, err
}

// stages compares hidden states. The last golden one is the output of the final norm, so there is
// none after the last layer.
func (g *Golden) stages(name string, hidden [][]float32) ([]Stage, error) {
	if err := finiteStages(name, hidden, len(g.IDs)); err != nil {
		return nil, fmt.Errorf("golden: %w", err)
	}
	if len(hidden) != len(g.Hidden)+1 {
		return nil, fmt.Errorf("golden: hidden states of %d layers, %s has %d", len(g.Hidden)-1, name, len(hidden)-2)
	}
	stages := make([]Stage, len(g.Hidden))
	for i, want := range g.Hidden {
		at := i
		if i == len(g.Hidden)-1 {
			at = len(hidden) - 1
		}
		var err error
		if stages[i], err = compareStage(stageName(at, len(hidden)), want, hidden[at]); err != nil {
			return nil, fmt.Errorf("golden: %s: %w", name, err)
		}
	}
	return stages, nil
}
