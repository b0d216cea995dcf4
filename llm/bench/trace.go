package bench

import (
	"encoding/json"
	"io"
	"strings"
	"time"
)

// traceEvent is an event of Chrome's trace format. Times are in microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"` // X: from Time on for Duration; M: metadata
	Time     float64        `json:"ts"`
	Duration float64        `json:"dur"`
	Process  int            `json:"pid"` // the profile
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args"`
}

// traceEvents returns an event for each dispatch; every profile is a process.
func traceEvents(profiles []Profile) []traceEvent {
	var events []traceEvent
	micro := func(d time.Duration) float64 { return float64(d) / 1e3 }
	for i, p := range profiles {
		events = append(events, traceEvent{Name: "process_name", Phase: "M", Process: i + 1, Thread: 1, Args: map[string]any{"name": p.Title}})
		for _, d := range p.list {
			name, _, _ := strings.Cut(d.Key, "/")
			events = append(events, traceEvent{
				Name: name, Category: d.Part, Phase: "X", Time: micro(d.Begin), Duration: micro(d.Time()), Process: i + 1, Thread: 1,
				Args: map[string]any{"kernel": d.Key, "part": d.Part, "bytes": d.Bytes, "flops": d.FLOPs},
			})
		}
	}
	return events
}

// WriteTrace writes profiles as a file that chrome://tracing and ui.perfetto.dev read.
func WriteTrace(w io.Writer, profiles []Profile) error {
	return json.NewEncoder(w).Encode(map[string]any{"displayTimeUnit": "ns", "traceEvents": traceEvents(profiles)})
}
