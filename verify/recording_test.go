package verify

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestRecordingFile checks that what is opened plays what was recorded, and that a file of another
// model, other text, another length or with other data is refused.
func TestRecordingFile(t *testing.T) {
	windows := [][]int32{{1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}}
	path := filepath.Join(t.TempDir(), "logits")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fresh, err := RecordTo(t.Context(), "a", newToy(30), windows, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := OpenRecording(file, int64(len(data)), "a", windows, 30)
	if err != nil {
		t.Fatal(err)
	}
	drift := func(r Forwarder) *Drift {
		other := newToy(30)
		other.noise = 0.1
		d, err := MeasureDrift(t.Context(), r, other, windows, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := drift(newToy(30))
	if a, b := drift(fresh.Play()), drift(kept.Play()); !reflect.DeepEqual(a, want) || !reflect.DeepEqual(b, want) {
		t.Errorf("played: %+v and %+v, want %+v", a, b, want)
	}

	if _, err := OpenRecording(file, int64(len(data)), "b", windows, 30); !errors.Is(err, ErrOtherRecording) {
		t.Errorf("of another model: %v", err)
	}
	if _, err := OpenRecording(file, int64(len(data)), "a", [][]int32{windows[1], windows[0]}, 30); !errors.Is(err, ErrOtherRecording) {
		t.Errorf("of other text: %v", err)
	}
	for _, at := range []int{0, 9, 30, 60, recordingHeader, len(data) - 1} {
		spoiled := append([]byte(nil), data...)
		spoiled[at] ^= 1
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenRecording(file, int64(len(data)), "a", windows, 30); err == nil {
			t.Errorf("byte %d changed: no error", at)
		}
	}
	for _, n := range []int{0, 8, recordingHeader, len(data) - 4} {
		if err := os.WriteFile(path, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenRecording(file, int64(n), "a", windows, 30); err == nil {
			t.Errorf("%d of %d bytes: no error", n, len(data))
		}
	}
}
