//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"context"
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name         string
		sleeps       bool
		last, waited time.Duration
		asks         bool
	}{
		{"at first", false, 0, 0, true},
		{"after a short wait", false, askTime - 1, askTime - 1, true},
		{"after a long one", false, askTime, 0, false},
		{"in a long one", false, 0, askTime, false},
		{"on a CPU", true, 0, 0, false},
	} {
		p := patience{sleeps: c.sleeps}
		p.ended(c.last)
		if got := p.timeout(c.waited); (got == 0) != c.asks {
			t.Errorf("%s: sleeps for %v, want to ask again: %v", c.name, got, c.asks)
		}
	}
}

// TestAsking reads what a device has done, asked again and again.
func TestAsking(t *testing.T) {
	dev, err := Open(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	n, ok := dev.b.(*dawnBackend)
	if !ok {
		return // another engine waits in another way
	}
	n.patience.sleeps = false
	b, err := dev.NewBuffer("test", 16, Storage)
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(20) {
		if err := b.Write(0, []byte{i, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		n.patience.ended(0)
		got := make([]byte, 4)
		if err := dev.Read(context.Background(), b, 0, got); err != nil || got[0] != i {
			t.Fatalf("read %v, %v, want %d", got, err, i)
		}
	}
}
