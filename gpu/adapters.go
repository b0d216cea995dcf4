package gpu

import (
	"fmt"
	"strconv"
	"strings"
)

// FindAdapter returns the adapter that Open would use.
func FindAdapter(o Select) (AdapterInfo, error) {
	as, err := Adapters(o)
	if err != nil {
		return AdapterInfo{}, err
	}
	i, err := choose(as, o.Adapter)
	if err != nil {
		return AdapterInfo{}, err
	}
	return as[i], nil
}

// choose returns the index of the adapter that want names. A number is always an index; any other text
// must be part of the String of exactly one adapter.
func choose(as []AdapterInfo, want string) (int, error) {
	if want == "" {
		return 0, nil
	}
	if isNumber(want) {
		if i, err := strconv.Atoi(want); err == nil && i >= 0 && i < len(as) {
			return i, nil
		}
		return 0, fmt.Errorf("%w with number %s; available: %s", ErrNoAdapter, want, list(as))
	}
	var found []AdapterInfo
	for _, a := range as {
		if strings.Contains(strings.ToLower(a.String()), strings.ToLower(want)) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w called %q; available: %s", ErrNoAdapter, want, list(as))
	case 1:
		return found[0].Index, nil
	}
	return 0, fmt.Errorf("adapter %q: several match: %s: give the number", want, list(found))
}

// list lists adapters, and names their engine: another one may have others.
func list(as []AdapterInfo) string {
	var names []string
	for _, a := range as {
		names = append(names, fmt.Sprintf("%d: %s", a.Index, a))
	}
	all := strings.Join(names, "; ")
	if len(as) > 0 && as[0].Engine != "" {
		all += " (engine " + as[0].Engine + ")"
	}
	return all
}

// isNumber reports whether a text is an integer of any size.
func isNumber(s string) bool {
	digits := strings.TrimLeft(s, "+-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}
