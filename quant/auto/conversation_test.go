package auto

import (
	"strings"
	"testing"
)

// TestSpoken checks that user and assistant take turns, that the user begins and the assistant ends, that the
// assistant says more, and that nothing is lost but what is left over.
func TestSpoken(t *testing.T) {
	messages := spoken(generalText)
	if len(messages) < 50 || len(messages)%2 != 0 {
		t.Fatalf("%d messages", len(messages))
	}
	at := 0
	var bytes [2]int
	for i, m := range messages {
		if want := [2]string{"user", "assistant"}[i%2]; m.Role != want {
			t.Errorf("message %d is of %q, want %q", i, m.Role, want)
		}
		bytes[i%2] += len(m.Content)
		k := strings.Index(generalText[at:], m.Content)
		if k < 0 || strings.TrimSpace(generalText[at:at+k]) != "" {
			t.Fatalf("message %d does not follow the one before: %.60q", i, m.Content)
		}
		at += k + len(m.Content)
	}
	if bytes[1] < 2*bytes[0] {
		t.Errorf("users say %d bytes, assistants %d", bytes[0], bytes[1])
	}
	if rest := len(generalText) - at; rest > 5000 {
		t.Errorf("%d bytes are left over", rest)
	}
	if messages := spoken("too short"); len(messages) != 0 {
		t.Errorf("%q", messages)
	}
}
