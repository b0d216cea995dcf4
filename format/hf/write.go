//go:build !js

package hf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/x448/float16"
	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// WriteOptions say how a checkpoint is written.
type WriteOptions struct {
	Type     string                // of the weights: F16 or F32
	Keep32   func(i int) bool      // tensors that become F32 whatever Type is, if not nil
	MaxFile  int64                 // bytes of a file of weights; 0: 5 GB. One tensor may be larger.
	Force    bool                  // replace an existing checkpoint
	Files    map[string][]byte     // by name, other files to write beside config.json
	Progress func(done, all int64) // weights; calls come one at a time
}

// Written says what was written.
type Written struct {
	Files   []string // names
	Tensors int
	Bytes   int64 // of all tensors
}

// maxShard is the size of a file of weights as transformers chooses it.
const maxShard = 5e9

// torchTypes are the names that configurations use.
var torchTypes = map[string]string{"F16": "float16", "F32": "float32"}

// Write writes a checkpoint that transformers opens, with the tensors as the family of config, a
// config.json, stores them: fused, stacked or transposed. dir appears when everything is written, or
// not at all.
func Write(ctx context.Context, dir string, w model.Weights, config []byte, o WriteOptions) (_ *Written, err error) {
	if torchTypes[o.Type] == "" {
		return nil, fmt.Errorf("type %q: want F16 or F32", o.Type)
	}
	config, err = plainConfig(config, torchTypes[o.Type])
	if err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	l, err := newBlueprint(config)
	if err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	if err := l.agree(w.Tensors()); err != nil {
		return nil, err
	}
	l.chooseTypes(o)
	shards, err := l.cut(o.MaxFile)
	if err != nil {
		return nil, err
	}
	out, err := outdir.Open(dir, o.outdir())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, out.Abort()) }()
	x := &export{ctx: ctx, weights: w, plan: l, shards: shards, out: out, opts: o}
	if err := x.write(config); err != nil {
		return nil, err
	}
	return x.written(), out.Commit()
}

// CheckTarget reports, before any work, why Write would fail for dir.
func CheckTarget(dir string, o WriteOptions) error { return outdir.Check(dir, o.outdir()) }

func (o WriteOptions) outdir() outdir.Options {
	return outdir.Options{Force: o.Force, Stale: outdir.Discard, Owns: isCheckpointFile}
}

// isCheckpointFile reports whether a file of this name may be replaced together with a checkpoint.
func isCheckpointFile(name string) bool {
	return slices.Contains([]string{
		"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
		"chat_template.jinja", "model.safetensors.index.json",
	}, name) || strings.HasPrefix(name, "model") && strings.HasSuffix(name, ".safetensors")
}

// agree reports tensors that are not those of the layout.
func (l *blueprint) agree(tensors []model.Tensor) error {
	if len(tensors) != len(l.tensors) {
		return fmt.Errorf("config.json makes %d tensors, the model has %d", len(l.tensors), len(tensors))
	}
	for i, t := range tensors {
		if want := l.tensors[i]; t.Role != want.Role || t.Layer != want.Layer || !slices.Equal(t.Shape, want.Shape) {
			return fmt.Errorf("tensor %q: is %s of layer %d in shape %v: config.json makes it %s of layer %d in shape %v",
				t.Name, t.Role, t.Layer, t.Shape, want.Role, want.Layer, want.Shape)
		}
	}
	return nil
}

// chooseTypes gives each stored tensor the type of the widest of its parts.
func (l *blueprint) chooseTypes(o WriteOptions) {
	for _, t := range l.stored {
		t.dtype = o.Type
		for _, p := range t.pieces {
			if o.Keep32 != nil && o.Keep32(p.tensor) {
				t.dtype = "F32"
			}
		}
	}
}

// shard is a file of weights.
type shard struct {
	name    string
	header  []byte // with its length in front
	targets []*target
	bytes   int64   // of tensors
	begin   []int64 // of each target, after the header
	file    *os.File
}

// cut distributes the tensors over files.
func (l *blueprint) cut(most int64) ([]*shard, error) {
	if most == 0 {
		most = maxShard
	}
	var shards []*shard
	for _, t := range l.stored {
		n := t.elements() * int64(elementSize[t.dtype])
		if len(shards) == 0 || shards[len(shards)-1].bytes+n > most && shards[len(shards)-1].bytes > 0 {
			shards = append(shards, &shard{})
		}
		s := shards[len(shards)-1]
		s.targets, s.begin = append(s.targets, t), append(s.begin, s.bytes)
		s.bytes += n
	}
	for i, s := range shards {
		s.name = singleFile
		if len(shards) > 1 {
			s.name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		if err := s.makeHeader(); err != nil {
			return nil, err
		}
	}
	return shards, nil
}

// makeHeader writes the JSON that opens a safetensors file, padded with spaces to a multiple of 8.
func (s *shard) makeHeader() error {
	var text bytes.Buffer
	text.WriteString(`{"__metadata__":{"format":"pt"}`)
	for i, t := range s.targets {
		name, err := json.Marshal(t.name)
		if err != nil {
			return err
		}
		shape, err := json.Marshal(t.shape)
		if err != nil {
			return err
		}
		end := s.begin[i] + t.elements()*int64(elementSize[t.dtype])
		fmt.Fprintf(&text, `,%s:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, s.begin[i], end)
	}
	text.WriteByte('}')
	for text.Len()%8 != 0 {
		text.WriteByte(' ')
	}
	s.header = append(binary.LittleEndian.AppendUint64(nil, uint64(text.Len())), text.Bytes()...)
	return nil
}

// export is one call of Write.
type export struct {
	ctx     context.Context
	weights model.Weights
	plan    *blueprint
	shards  []*shard
	out     *outdir.Dir
	opts    WriteOptions

	mu        sync.Mutex
	done, all int64
}

func (x *export) written() *Written {
	r := &Written{Tensors: len(x.plan.stored)}
	for _, s := range x.shards {
		r.Files = append(r.Files, s.name)
		r.Bytes += s.bytes
	}
	return r
}

func (x *export) write(config []byte) error {
	var need int64
	for _, s := range x.shards {
		need += s.bytes + int64(len(s.header))
	}
	if err := outdir.CheckSpace(x.out.Work(), need); err != nil {
		return err
	}
	if err := x.writeSmall(config); err != nil {
		return err
	}
	for _, t := range x.plan.tensors {
		x.all += int64(t.Rows()) * int64(t.Cols())
	}
	for _, s := range x.shards {
		if err := x.writeShard(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// writeSmall writes everything but weights.
func (x *export) writeSmall(config []byte) error {
	files := map[string][]byte{"config.json": config}
	for name, data := range x.opts.Files {
		files[name] = data
	}
	if len(x.shards) > 1 {
		index, err := x.index()
		if err != nil {
			return err
		}
		files[indexFile] = index
	}
	for name, data := range files {
		if name != filepath.Base(name) {
			return fmt.Errorf("%q is not the name of a file", name)
		}
		if err := outdir.WriteFile(x.out.Path(name), data); err != nil {
			return err
		}
	}
	return nil
}

// index says which tensor is in which file.
func (x *export) index() ([]byte, error) {
	at, total := map[string]string{}, int64(0)
	for _, s := range x.shards {
		total += s.bytes
		for _, t := range s.targets {
			at[t.name] = s.name
		}
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]int64{"total_size": total}, "weight_map": at},
		json.Deterministic(true), jsontext.WithIndent("  "))
	return append(data, '\n'), err
}

// workers is how many goroutines write; each has some tens of megabytes.
func workers() int { return min(runtime.GOMAXPROCS(0), 8) }

func (x *export) writeShard(s *shard) (err error) {
	if s.file, err = os.Create(x.out.Path(s.name)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.file.Close()) }()
	if _, err := s.file.Write(s.header); err != nil {
		return err
	}
	if err := s.file.Truncate(int64(len(s.header)) + s.bytes); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(x.ctx)
	jobs := make(chan job)
	group.Go(func() error {
		defer close(jobs)
		return s.cutJobs(ctx, x.plan, jobs)
	})
	for range workers() {
		group.Go(func() error {
			k := copier{export: x, shard: s}
			for j := range jobs {
				if err := k.copy(j); err != nil {
					return fmt.Errorf("tensor %q: %w", x.weights.Tensors()[j.piece.tensor].Name, err)
				}
				x.count(int64(j.rows) * int64(j.piece.place.cols))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.file.Sync()
}

func (x *export) count(n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done += n
	if x.opts.Progress != nil {
		x.opts.Progress(x.done, x.all)
	}
}

// job is some rows of an expert of a logical tensor, or of the tensor if it has none, and where its
// target begins in the file. A vector has one row to its reader, but rows of one column here.
type job struct {
	piece     piece
	dtype     string
	begin     int64
	expert    int // whose rows these are
	inTarget  int // which expert of the target that is
	row, rows int
}

// tileWeights and stripWeights are about how many weights a job has: of a tensor that is transposed,
// more, for only as many elements as the job has rows lie side by side in the file.
const (
	tileWeights  = 1 << 19
	stripWeights = 1 << 22
)

func (s *shard) cutJobs(ctx context.Context, l *blueprint, jobs chan<- job) error {
	for i, t := range s.targets {
		for _, p := range t.pieces {
			d := &p.place
			first, last := 0, d.experts
			if p.expert >= 0 {
				first, last = p.expert, p.expert+1
			}
			step := max(1, tileWeights/d.cols)
			if d.transposed {
				step = max(1, stripWeights/d.cols)
			}
			if d.vectors(&l.tensors[p.tensor]) {
				step = d.rows // a vector is read as a whole
			}
			for e := first; e < last; e++ {
				for r := 0; r < d.rows; r += step {
					j := job{p, t.dtype, int64(len(s.header)) + s.begin[i], e, e - first, r, min(step, d.rows-r)}
					select {
					case jobs <- j:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}
		}
	}
	return nil
}

// copier does jobs, one after the other.
type copier struct {
	*export
	shard  *shard
	values []float32
	bytes  []byte
}

// copy reads the rows of a job and writes them where they belong.
func (k *copier) copy(j job) error {
	d := &j.piece.place
	k.values = slices.Grow(k.values[:0], j.rows*d.cols)[:j.rows*d.cols]
	row, rows := j.expert*d.rows+j.row, j.rows
	if d.vectors(&k.plan.tensors[j.piece.tensor]) {
		row, rows = j.expert, 1
	}
	if err := k.weights.Rows(j.piece.tensor, row, rows, k.values); err != nil {
		return err
	}
	if d.factor != 0 { // by which they will be multiplied when they are read
		for i := range k.values {
			k.values[i] /= d.factor
		}
	}
	base := int64(j.inTarget) * int64(d.total) * int64(d.cols)
	for r := 0; r < j.rows; {
		row := j.row + r
		run := min(j.rows-r, d.group-row%d.group)
		at := d.first + row/d.group*d.step + row%d.group
		values := k.values[r*d.cols : (r+run)*d.cols]
		var err error
		if d.transposed {
			err = k.columns(j, base+int64(at), run, values)
		} else {
			err = k.put(j, base+int64(at)*int64(d.cols), values)
		}
		if err != nil {
			return err
		}
		r += run
	}
	return nil
}

// columns writes rows, [n][cols], as columns of the target, from its element at on.
func (k *copier) columns(j job, at int64, n int, values []float32) error {
	d := &j.piece.place
	column := make([]float32, n)
	for c := range d.cols {
		for r := range column {
			column[r] = values[r*d.cols+c]
		}
		if err := k.put(j, at+int64(c)*int64(d.total), column); err != nil {
			return err
		}
	}
	return nil
}

// put writes elements of the target from the given one on.
func (k *copier) put(j job, at int64, values []float32) error {
	size := elementSize[j.dtype]
	k.bytes = slices.Grow(k.bytes[:0], len(values)*size)[:len(values)*size]
	for i, v := range values {
		if size == 4 {
			binary.LittleEndian.PutUint32(k.bytes[4*i:], math.Float32bits(v))
			continue
		}
		h := float16.Fromfloat32(v)
		if h.IsInf(0) || h.IsNaN() {
			return fmt.Errorf("%v is beyond the range of float16: write F32", v)
		}
		binary.LittleEndian.PutUint16(k.bytes[2*i:], h.Bits())
	}
	_, err := k.shard.file.WriteAt(k.bytes, j.begin+at*int64(size))
	return err
}
