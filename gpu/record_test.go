package gpu

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
