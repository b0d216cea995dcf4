package transformer

import (
	"errors"
	"fmt"
	"os"
)

// stream keeps vectors of calibration text in a temporary file: [window][token][width] f32.
type stream struct {
	file  *os.File
	width int
	first []int64 // tokens before each window
}

func newStream(width int, windows [][]int32) (*stream, error) {
	file, err := os.CreateTemp("", "llama-webgpu-calibration-*")
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	s := &stream{file: file, width: width}
	var n int64
	for _, w := range windows {
		s.first = append(s.first, n)
		n += int64(len(w))
	}
	return s, nil
}

// close removes the file.
func (s *stream) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// save stores the vectors of a window, one next to the other.
func (s *stream) save(window int, x []float32) error {
	_, err := s.file.WriteAt(floatBytes(x), 4*s.first[window]*int64(s.width))
	return err
}

// upload writes the n vectors of a window to v.
func (s *stream) upload(window, n int, v vectors) error {
	raw := make([]byte, 4*n*s.width)
	if _, err := s.file.ReadAt(raw, 4*s.first[window]*int64(s.width)); err != nil {
		return err
	}
	wide := make([]byte, 4*n*v.stride)
	for i := range n {
		copy(wide[4*i*v.stride:], raw[4*i*s.width:4*(i+1)*s.width])
	}
	return v.buffer.Write(0, wide)
}
