package gpu

import "context"

// RecordBy has the device record what is encoded aside beside other calls, whatever its engine: each recording first calls begun.
func (d *Device) RecordBy(begun func()) { d.recorder = stubRecorder{d.b, begun} }

type stubRecorder struct {
	b     backend
	begun func()
}

func (r stubRecorder) parallel() bool    { return true }
func (r stubRecorder) record() recording { return &stubRecording{stubRecorder: r} }

type stubRecording struct {
	stubRecorder
	h   handle
	err error
}

func (r *stubRecording) steps(programs []*Program) {
	r.begun()
	r.h, r.err = r.b.encode(programs)
}

func (r *stubRecording) finish() (handle, error) { return r.h, r.err }

// AnswerEarly has asked called whenever memory is asked for that a program copies to. The result counts the requests after one
// that was given up, unless the device was waited for between them: an engine may answer these early.
func (d *Device) AnswerEarly(asked func()) (early func() int) {
	b := &earlyBackend{backend: d.b, asked: asked}
	d.b = b
	return func() int { return b.early }
}

type earlyBackend struct {
	backend
	asked   func()
	givenUp bool
	early   int
}

func (b *earlyBackend) wait(ctx context.Context) error {
	err := b.backend.wait(ctx)
	b.givenUp = b.givenUp && err != nil
	return err
}

func (b *earlyBackend) startMap(staging handle, n uint64) (pending, error) {
	if b.givenUp {
		b.early++
	}
	p, err := b.backend.startMap(staging, n)
	b.asked()
	return p, err
}

func (b *earlyBackend) finishRead(ctx context.Context, p pending, staging handle, dst []byte, skip uint64) error {
	err := b.backend.finishRead(ctx, p, staging, dst, skip)
	b.givenUp = err != nil
	return err
}
