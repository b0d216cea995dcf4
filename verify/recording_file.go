package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A recording in a file is a header, then [windows][scored positions][vocab] float32, little-endian.
//
//	0    magic
//	8    version u32, vocab u32, windows u32, tokens of a window u32
//	24   SHA-256 of the model's name and the windows
//	56   SHA-256 of the data
//	88   zeros up to recordingHeader
const (
	recordingMagic   = "LWGLOGIT"
	recordingVersion = 1
	recordingHeader  = 256
)

// ErrOtherRecording is the error of OpenRecording for a sound file of another model or other text.
var ErrOtherRecording = errors.New("was recorded from another model or other text")

// RecordingFile is where a recording is written: an *os.File.
type RecordingFile interface {
	ReadWriter
	io.WriterAt
}

// RecordTo is Record with a header that OpenRecording recognizes the model and the windows by. model
// names everything that decides the logits.
func RecordTo(ctx context.Context, model string, f Forwarder, windows [][]int32, file RecordingFile, progress func(done, total int)) (*Recording, error) {
	if _, err := file.Write(make([]byte, recordingHeader)); err != nil {
		return nil, err
	}
	data := &summed{RecordingFile: file, sum: sha256.New()}
	r, err := Record(ctx, f, windows, data, progress)
	if err != nil {
		return nil, err
	}
	head := recordingHead(model, windows, r.vocab)
	copy(head[56:], data.sum.Sum(nil))
	if _, err := file.WriteAt(head, 0); err != nil {
		return nil, err
	}
	return r, nil
}

// OpenRecording opens a file of size bytes that RecordTo has written, if it is of this model and these
// windows. It reads the whole file.
func OpenRecording(file io.ReaderAt, size int64, model string, windows [][]int32, vocab int) (*Recording, error) {
	head := make([]byte, recordingHeader)
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, size), head); err != nil || string(head[:8]) != recordingMagic {
		return nil, errors.New("is no recording of logits")
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != recordingVersion {
		return nil, fmt.Errorf("is a recording of version %d: want %d", v, recordingVersion)
	}
	want := recordingHead(model, windows, vocab)
	if !bytes.Equal(head[:56], want[:56]) {
		return nil, ErrOtherRecording
	}
	n := len(windows[0])
	bytesOf := 4 * int64(len(windows)) * int64(n-1-n/2) * int64(vocab)
	if size != recordingHeader+bytesOf {
		return nil, fmt.Errorf("has %d bytes: want %d", size, recordingHeader+bytesOf)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, recordingHeader, bytesOf)); err != nil {
		return nil, err
	}
	if !bytes.Equal(sum.Sum(nil), head[56:88]) {
		return nil, errors.New("is damaged: its data has another SHA-256 than was recorded")
	}
	return &Recording{data: io.NewSectionReader(file, recordingHeader, bytesOf), vocab: vocab, windows: windows}, nil
}

// recordingHead returns a header but for the hash of the data.
func recordingHead(model string, windows [][]int32, vocab int) []byte {
	head := append(make([]byte, 0, recordingHeader), recordingMagic...)
	for _, v := range []int{recordingVersion, vocab, len(windows), len(windows[0])} {
		head = binary.LittleEndian.AppendUint32(head, uint32(v))
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s\n", len(model), model)
	for _, w := range windows {
		fmt.Fprintln(sum, w)
	}
	return sum.Sum(head)[:recordingHeader]
}

// summed hashes what is written after a header, and reads behind it.
type summed struct {
	RecordingFile
	sum hash.Hash
}

func (s *summed) Write(p []byte) (int, error) {
	s.sum.Write(p)
	return s.RecordingFile.Write(p)
}

func (s *summed) ReadAt(p []byte, off int64) (int, error) {
	return s.RecordingFile.ReadAt(p, off+recordingHeader)
}
