package main

import (
	"errors"
	"fmt"
	"strings"
)

// table shows, for each model, how many things of each kind are the same, then what differs. It is an error if
// the base fails, for then there is nothing to compare with.
func table(jobs []job, results []result) (text string, differ int, err error) {
	var b, details strings.Builder
	fmt.Fprintf(&b, "%-30s", "same")
	for _, kind := range kinds {
		fmt.Fprintf(&b, "%12s", kind)
	}
	b.WriteByte('\n')
	var failed []error
	for i, j := range jobs {
		r := results[i]
		if r.failed[0] != nil {
			failed = append(failed, fmt.Errorf("%s: base: %w", j.name, r.failed[0]))
			continue
		}
		if r.failed[1] != nil {
			differ++
			fmt.Fprintf(&b, "%-30s fails\n", j.name)
			fmt.Fprintf(&details, "%s: fails now: %v\n", j.name, r.failed[1])
			continue
		}
		fmt.Fprintf(&b, "%-30s", j.name)
		for _, kind := range kinds {
			fmt.Fprintf(&b, "%12s", cell(r, kind))
		}
		b.WriteByte('\n')
		for _, d := range r.diffs {
			differ++
			fmt.Fprintf(&details, "%s/%s: %s\n", j.name, d.path, d.how)
		}
	}
	if details.Len() > 0 {
		fmt.Fprintf(&b, "\n%s", details.String())
	}
	return b.String(), differ, errors.Join(failed...)
}

// cell is "5", or "4 of 5" if one differs, or "" if there are none.
func cell(r result, kind string) string {
	n := r.counts[kind]
	wrong := 0
	for _, d := range r.diffs {
		if d.kind == kind {
			wrong++
		}
	}
	switch {
	case n == 0:
		return "–"
	case wrong > 0:
		return fmt.Sprintf("%d of %d", n-wrong, n)
	}
	return fmt.Sprint(n)
}
