package transformer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// ErrTooLarge says that a model needs more memory than the device has, or larger bindings.
var ErrTooLarge = errors.New("the model does not fit on this GPU")

// leastChunk is the fewest tokens of a pass to which it is cut down for a small device's sake.
const leastChunk = 16

// count adds up what allocate will ask for, and loading if there is to be any. While the activations
// of a pass are larger than a binding, passes take fewer tokens.
func (t *Transformer) count(src Source, loading bool) error {
	t.dry = true
	defer func() { t.dry = false }()
	for {
		t.need, t.largest = map[string]uint64{}, 0
		if loading {
			if _, err := t.buffer(purposeLoading, t.loadingBytes(src), gpu.Storage); err != nil {
				return err
			}
		}
		if err := t.allocate(); err != nil {
			return err
		}
		if t.largest <= t.limit || t.opts.Chunk <= leastChunk {
			return nil
		}
		t.opts.Chunk /= 2
	}
}

// Need reports the bytes of device memory that the model takes, by purpose.
func (t *Transformer) Need() map[string]uint64 { return maps.Clone(t.need) }

func (t *Transformer) total() uint64 {
	var n uint64
	for _, bytes := range t.need {
		n += bytes
	}
	return n
}

// fits refuses a model that needs more than Options.Memory.
func (t *Transformer) fits(src Source) error {
	if t.opts.Memory == 0 || t.total() <= t.opts.Memory {
		return nil
	}
	return fmt.Errorf("%w: %s are needed (%s), %s are there; %s",
		ErrTooLarge, binarySize(t.total()), t.breakdown(), binarySize(t.opts.Memory), t.advice(src))
}

// explain adds to an allocation's failure what would have been needed.
func (t *Transformer) explain(src Source, err error) error {
	if !errors.Is(err, gpu.ErrOutOfMemory) {
		return err
	}
	return fmt.Errorf("%w: %s are needed (%s): %w; %s", ErrTooLarge, binarySize(t.total()), t.breakdown(), err, t.advice(src))
}

func (t *Transformer) breakdown() string {
	var parts []string
	for _, purpose := range slices.Sorted(maps.Keys(t.need)) {
		parts = append(parts, purpose+" "+binarySize(t.need[purpose]))
	}
	return strings.Join(parts, ", ")
}

// advice says what would make the model smaller: a shorter context, then fewer bits.
func (t *Transformer) advice(src Source) string {
	have, rest := t.opts.Memory, t.total()-t.need[purposeKV]
	if have > rest && t.need[purposeKV] > 0 {
		length := uint64(t.opts.MaxSeqLen) * (have - rest) / t.need[purposeKV]
		if length >= 64 {
			return fmt.Sprintf("a context of at most %d positions fits", length/64*64)
		}
	}
	var weights uint64
	for _, tensor := range src.Tensors() {
		if tensor.Quantizable() {
			weights += uint64(tensor.Rows()) * uint64(tensor.Cols())
		}
	}
	for _, bits := range []uint64{8, 4, 2} {
		need := t.total() - min(t.total(), t.need[purposeWeights]) + weights*bits/8
		if need < t.total() && (have == 0 || need <= have) {
			return fmt.Sprintf("int%d needs about %s", bits, binarySize(need))
		}
	}
	return "a smaller model or a device with more memory is needed"
}

// What memory is counted as.
const (
	purposeWeights     = "weights"
	purposeKV          = "kv cache"
	purposeActivations = "activations"
	purposeSampling    = "sampling"
	purposeLoading     = "loading"
	purposeStaging     = "staging" // on its way, in memory of the CPU
)

// binarySize writes a number of bytes as people read it.
func binarySize(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < 4 {
		v, unit = v/1024, unit+1
	}
	digits := 0
	if v < 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %ciB", digits, v, "KMGTP"[unit])
}
