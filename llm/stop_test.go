package llm

import (
	"strings"
	"testing"
)

// stops makes a stopper of a text.
func stops(list ...string) *stopper[byte] {
	s := &stopper[byte]{}
	for _, stop := range list {
		s.stops = append(s.stops, []byte(stop))
	}
	return s
}

// feed pushes text in pieces of n bytes and returns all that was shown.
func feed(s *stopper[byte], text string, n int) (shown string, stopped bool) {
	var b strings.Builder
	for len(text) > 0 {
		n = min(n, len(text))
		show, stop := s.push([]byte(text[:n])...)
		b.Write(show)
		if stop >= 0 {
			return b.String(), true
		}
		text = text[n:]
	}
	b.Write(s.flush())
	return b.String(), false
}

func TestStopper(t *testing.T) {
	tests := []struct {
		text  string
		stops []string
		want  string
		stop  bool
	}{
		{"the end of it", nil, "the end of it", false},
		{"the end of it", []string{"end"}, "the ", true},
		{"the end of it", []string{"it", " of", "end of"}, "the ", true},
		{"aab", []string{"ab"}, "a", true},
		{"one\n\ntwo", []string{"\n\n"}, "one", true},
		{"one\n", []string{"\n\n"}, "one\n", false},
		{"ababac", []string{"abac"}, "ab", true},
		{"</s", []string{"</s>"}, "</s", false},
		{"x", []string{"x"}, "", true},
		{"", []string{"x"}, "", false},
	}
	for _, test := range tests {
		for n := 1; n <= len(test.text)+1; n++ {
			got, stop := feed(stops(test.stops...), test.text, n)
			if got != test.want || stop != test.stop {
				t.Errorf("%q by %d until %q: got %q, %v; want %q, %v", test.text, n, test.stops, got, stop, test.want, test.stop)
			}
		}
	}
}

func TestStopperHoldsNoMoreThanNeeded(t *testing.T) {
	s := stops("<end>")
	for _, step := range []struct{ in, out string }{{"abc", "abc"}, {"d<e", "d"}, {"x", "<ex"}, {"<en", ""}, {"ding", "<ending"}} {
		if out, _ := s.push([]byte(step.in)...); string(out) != step.out {
			t.Fatalf("after %q: shown %q, want %q", step.in, out, step.out)
		}
	}
}

func FuzzStopper(f *testing.F) {
	f.Add("the end of it", "end", "of", uint8(1))
	f.Add("ababac", "abac", "b", uint8(2))
	f.Fuzz(func(t *testing.T, text, a, b string, n uint8) {
		var list []string
		want := text
		for _, stop := range []string{a, b} {
			if stop == "" {
				continue
			}
			list = append(list, stop)
			if at := strings.Index(text, stop); at >= 0 && at < len(want) {
				want = text[:at]
			}
		}
		// All of the text at once, so that a stop string found early cannot hide an earlier one.
		if got, stop := feed(stops(list...), text, len(text)+1); got != want || stop != (want != text) {
			t.Fatalf("%q until %q: got %q, %v, want %q", text, list, got, stop, want)
		}
		// In pieces: what is shown is a beginning of the text without any stop string in it.
		got, _ := feed(stops(list...), text, int(n)+1)
		if !strings.HasPrefix(text, got) || len(got) < len(want) {
			t.Fatalf("%q until %q by %d: got %q, want at least %q", text, list, int(n)+1, got, want)
		}
		for _, stop := range list {
			if strings.Contains(got, stop) {
				t.Fatalf("%q until %q: %q contains one", text, list, got)
			}
		}
	})
}
