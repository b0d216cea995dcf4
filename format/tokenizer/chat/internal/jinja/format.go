package jinja

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	percentRE = regexp.MustCompile(`%(?:\((\w+)\))?(?:\.(\d{1,2}))?([sdirf%])|%`)
	braceRE   = regexp.MustCompile(`\{\{|\}\}|\{(\w*)\}|[{}]`)
	timeRE    = regexp.MustCompile(`(?s)%(-?)(.)|%`)
)

// percent is Python's s % args for %s, %r, %d, %i and %f, with a name or a precision.
func (in *interp) percent(line int, s string, args any) any {
	values := []any{args}
	if t, ok := args.(*tuple); ok {
		values = t.items
	}
	used := 0
	out := percentRE.ReplaceAllStringFunc(s, func(m string) string {
		p := percentRE.FindStringSubmatch(m)
		if m == "%%" {
			return "%"
		}
		if p[3] == "" || p[3] == "%" {
			fail(line, "the format '%s' is not supported", repr(s))
		}
		var v any
		if d, ok := args.(*dict); ok && p[1] != "" {
			if v, ok = d.get(p[1]); !ok {
				fail(line, "the format names '%s', which is missing", p[1])
			}
		} else if p[1] != "" || used == len(values) {
			fail(line, "not enough arguments for format string")
		} else {
			v = values[used]
			used++
		}
		return in.directive(line, p[2], p[3], v)
	})
	if used < len(values) && !subscripted(args) {
		fail(line, "not all arguments converted during string formatting")
	}
	in.spend(line, len(out))
	return out
}

// subscripted tells what % takes for a mapping, of which it need not use everything.
func subscripted(v any) bool {
	_, isDict := v.(*dict)
	_, isList := v.(*list)
	s, ok := v.(*sequence)
	return isDict || isList || ok && s.kind == "range"
}

// directive formats one value.
func (in *interp) directive(line int, precision, verb string, v any) string {
	switch verb {
	case "s", "r":
		if precision != "" {
			fail(line, "a precision of '%%%s' is not supported", verb)
		}
		if verb == "s" {
			return in.str(line, v)
		}
		var b strings.Builder
		in.repr(line, &b, v)
		return b.String()
	case "f":
		f, ok := float(v)
		if !ok {
			fail(line, "'%%f' wants a number, got %s", typeName(v))
		}
		digits := 6
		if precision != "" {
			digits, _ = strconv.Atoi(precision)
		}
		return strconv.FormatFloat(f, 'f', digits, 64)
	}
	n, ok := integer(v)
	if f, isFloat := v.(float64); isFloat && math.Abs(f) < 1<<62 {
		n, ok = int(f), true
	}
	if !ok || precision != "" {
		fail(line, "'%%%s' of a %s is not supported", verb, typeName(v))
	}
	return strconv.Itoa(n)
}

// formatBraces is str.format for fields without a conversion or a format.
func formatBraces(c *call) any {
	s, auto, manual := c.self.(string), 0, false
	c.in.spend(c.line, len(s))
	return braceRE.ReplaceAllStringFunc(s, func(m string) string {
		if m == "{{" || m == "}}" {
			return m[:1]
		}
		if len(m) < 2 {
			c.fail("the format %s is not supported", repr(s))
		}
		field := m[1 : len(m)-1]
		for i, name := range c.names {
			if name == field {
				return c.str(c.named[i])
			}
		}
		i, err := strconv.Atoi(field)
		manual = manual || err == nil
		if field == "" && manual {
			c.fail("cannot switch from manual field specification to automatic field numbering")
		} else if field == "" {
			i, err = auto, nil
			auto++
		}
		if field != "" && auto > 0 && err == nil {
			c.fail("cannot switch from automatic field numbering to manual field specification")
		}
		if err != nil || i < 0 || i >= len(c.pos) {
			c.fail("the format field '%s' has no argument", field)
		}
		return c.str(c.pos[i])
	})
}

// strftime is datetime.strftime in the C locale.
func strftime(c *call, t time.Time, format string) string {
	return timeRE.ReplaceAllStringFunc(format, func(m string) string {
		p := timeRE.FindStringSubmatch(m)
		layout, ok := map[string]string{
			"a": "Mon", "A": "Monday", "b": "Jan", "B": "January", "h": "Jan", "d": "02", "H": "15", "I": "03",
			"j": "002", "m": "01", "M": "04", "S": "05", "p": "PM", "y": "06", "Y": "2006", "D": "01/02/06",
			"F": "2006-01-02", "T": "15:04:05", "R": "15:04", "e": "_2", "f": "000000", "n": "\n", "t": "\t", "%": "%",
			"c": "Mon Jan _2 15:04:05 2006", "x": "01/02/06", "X": "15:04:05",
		}[p[2]]
		numeric := strings.Contains("dHIjmMSye", p[2]) && p[2] != ""
		if !ok || p[1] != "" && !numeric {
			c.fail("the date format '%s' is not supported", m)
		}
		text := t.Format(layout)
		if p[2] == "f" {
			text = t.Format(".000000")[1:]
		}
		if p[1] == "-" {
			if text = strings.TrimLeft(text, "0 "); text == "" {
				text = "0"
			}
		}
		return text
	})
}
