package cmdline

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// Bound is what a flag's number may be.
type Bound struct {
	Name        string
	Least, Most float64
	Not         string // what the ends mean
	Open        bool   // Least itself is not allowed
}

// Within reports numbers out of bounds, by the name of their flag; NaN is out of any.
func Within(c *cli.Context, bounds ...Bound) error {
	for _, b := range bounds {
		for _, v := range numbers(c, b.Name) {
			if v >= b.Least && v <= b.Most && !(b.Open && v == b.Least) {
				continue
			}
			return Usagef("%s %.12g: want %s", dashed(b.Name), v, b.wants())
		}
	}
	return nil
}

// wants says what is in bounds.
func (b Bound) wants() string {
	text := fmt.Sprintf("%.10g to %.10g", b.Least, b.Most)
	switch {
	case b.Open && b.Most >= Unbounded:
		text = fmt.Sprintf("more than %.10g", b.Least)
	case b.Open:
		text = fmt.Sprintf("more than %.10g and at most %.10g", b.Least, b.Most)
	case b.Most >= Unbounded:
		text = fmt.Sprintf("%.10g or more", b.Least)
	}
	if b.Not != "" {
		text += " (" + b.Not + ")"
	}
	return text
}

// Unbounded is the most that a number is when nothing else bounds it: what a float32 holds.
const Unbounded = 3e38

// numbers returns the values of a flag, if it was given.
func numbers(c *cli.Context, name string) []float64 {
	if !c.IsSet(name) {
		return nil
	}
	var list []float64
	switch v := c.Value(name).(type) {
	case int:
		list = append(list, float64(v))
	case float64:
		list = append(list, v)
	case cli.IntSlice:
		for _, n := range v.Value() {
			list = append(list, float64(n))
		}
	case []int:
		for _, n := range v {
			list = append(list, float64(n))
		}
	}
	return list
}
