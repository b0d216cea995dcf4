package calibrate

import (
	"errors"
	"fmt"
	"os"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// stream stores hidden states of the calibration text, in device memory or in a temporary file.
type stream struct {
	width int
	first []int64 // tokens before each window

	file   *os.File      // [window][token][width] f32; or
	device []*gpu.Buffer // by window: [token][stride] f32
}

// keeper decides where the streams of a calibration are stored.
type keeper struct {
	dev     *gpu.Device
	windows [][]int32
	files   bool // in temporary files, not on the device

	matrices bool // sums are made by subgroup matrices
}

// How much of a device's memory the streams of a calibration may take.
const (
	streamBytes = 1 << 30 // if it is not known how much there is
	streamShare = 4       // else 1/streamShare of what is free
)

// newKeeper stores the streams of a number of tracks on the device if there is room for them.
func newKeeper(dev *gpu.Device, hidden, heads, tracks int, windows [][]int32) *keeper {
	most := uint64(streamBytes)
	if free, ok := dev.FreeMemory(); ok {
		most = free / streamShare
	}
	var need uint64
	for _, w := range windows {
		need += uint64(4 * len(w) * tracks * (2*graph.Stride(hidden) + graph.Stride(heads)))
	}
	return &keeper{dev: dev, windows: windows, files: need > most}
}

// stream makes a stream of vectors of width elements.
func (k *keeper) stream(width int) (*stream, error) {
	s := &stream{width: width}
	var n int64
	for _, w := range k.windows {
		s.first = append(s.first, n)
		n += int64(len(w))
	}
	if !k.files {
		err := s.allocate(k)
		if !errors.Is(err, gpu.ErrOutOfMemory) {
			return s, err
		}
		k.files = true // there is less memory than was expected
	}
	var err error
	if s.file, err = os.CreateTemp("", "llama-webgpu-calibration-*"); err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	return s, nil
}

// allocate makes the stream's buffers. After an error it leaves none.
func (s *stream) allocate(k *keeper) error {
	for _, w := range k.windows {
		b, err := k.dev.NewBuffer(graph.PurposeActivations, uint64(4*len(w)*graph.Stride(s.width)), gpu.Storage)
		if err != nil {
			s.release()
			return fmt.Errorf("calibration: %w", err)
		}
		s.device = append(s.device, b)
	}
	return nil
}

func (s *stream) release() {
	for _, b := range s.device {
		b.Release()
	}
	s.device = nil
}

// close frees the memory, or removes the file.
func (s *stream) close() error {
	if s == nil {
		return nil
	}
	s.release()
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// write stores the vectors of a window, which lie next to each other.
func (s *stream) write(window int, x []float32) error {
	if s.file == nil {
		return s.device[window].Write(0, spaced(graph.FloatBytes(x), 4*s.width, 4*graph.Stride(s.width)))
	}
	_, err := s.file.WriteAt(graph.FloatBytes(x), 4*s.first[window]*int64(s.width))
	return err
}

// load copies the n vectors of a window to v, whose stride is that of the stream on a device. The copy is done
// when the returned program has run; nil means that it is done already.
func (s *stream) load(window, n int, v graph.Vectors) (*gpu.Program, error) {
	if s.file == nil {
		return copied(v.Buffer.Range().Buffer, s.device[window], n, v.Stride)
	}
	raw := make([]byte, 4*n*s.width)
	if _, err := s.file.ReadAt(raw, 4*s.first[window]*int64(s.width)); err != nil {
		return nil, err
	}
	return nil, v.Buffer.Write(0, spaced(raw, 4*s.width, 4*v.Stride))
}

// save returns a program that stores the n vectors v of a window. nil means that the caller has to read them and
// call write.
func (s *stream) save(window, n int, v graph.Vectors) (*gpu.Program, error) {
	if s.file != nil {
		return nil, nil
	}
	return copied(s.device[window], v.Buffer.Range().Buffer, n, v.Stride)
}

// copied records a copy of n vectors that are stride elements apart.
func copied(dst, src *gpu.Buffer, n, stride int) (*gpu.Program, error) {
	size := uint64(4 * n * stride)
	p := new(gpu.Program)
	p.Copy(gpu.Range{Buffer: dst, Size: size}, gpu.Range{Buffer: src, Size: size})
	return p, p.Err()
}

// spaced pads records of size bytes to stride bytes each.
func spaced(raw []byte, size, stride int) []byte {
	if size == stride {
		return raw
	}
	wide := make([]byte, len(raw)/size*stride)
	for i := range len(raw) / size {
		copy(wide[i*stride:], raw[i*size:(i+1)*size])
	}
	return wide
}
