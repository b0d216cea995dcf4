package kernels

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// layout is the size and alignment of a type in workgroup memory, in bytes.
type layout struct{ size, align int64 }

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

var scalars = map[string]layout{
	"f32": {4, 4}, "u32": {4, 4}, "i32": {4, 4}, "bool": {4, 4}, "f16": {2, 2},
}

var shortVectors = map[string]string{"f": "f32", "u": "u32", "i": "i32", "h": "f16"}

// layout computes the layout of a scalar, atomic, vector or array type.
func (ev *evaluator) layout(typ string) (layout, error) {
	if err := ev.step(); err != nil {
		return layout{}, err
	}
	typ = strings.TrimSpace(typ)
	if l, ok := scalars[typ]; ok {
		return l, nil
	}
	head, tail, bracketed := strings.Cut(typ, "<")
	head = strings.TrimSpace(head)
	if !bracketed {
		if len(head) == 5 && strings.HasPrefix(head, "vec") && shortVectors[head[4:]] != "" {
			return vector(head[3], scalars[shortVectors[head[4:]]])
		}
		return layout{}, fmt.Errorf("type %s is not understood: want scalars, vectors and arrays of them", typ)
	}
	args, rest, err := arguments(tail, '<', '>')
	if err != nil || strings.TrimSpace(rest) != "" || len(args) == 0 {
		return layout{}, fmt.Errorf("type %s is not understood", typ)
	}
	elem, err := ev.layout(args[0])
	if err != nil {
		return layout{}, err
	}
	switch {
	case head == "atomic" && len(args) == 1:
		return elem, nil
	case len(head) == 4 && strings.HasPrefix(head, "vec") && len(args) == 1:
		return vector(head[3], elem)
	case head == "array" && len(args) == 2:
		n, err := ev.eval(args[1])
		if err != nil {
			return layout{}, err
		}
		if n < 1 || n > 1<<28 || elem.size > 1<<28 {
			return layout{}, fmt.Errorf("type %s: %d elements", typ, n)
		}
		return layout{n * roundUp(elem.size, elem.align), elem.align}, nil
	}
	return layout{}, fmt.Errorf("type %s is not understood", typ)
}

func vector(n byte, elem layout) (layout, error) {
	switch n {
	case '2':
		return layout{2 * elem.size, 2 * elem.size}, nil
	case '3':
		return layout{3 * elem.size, 4 * elem.size}, nil
	case '4':
		return layout{4 * elem.size, 4 * elem.size}, nil
	}
	return layout{}, fmt.Errorf("vec%c: want 2, 3 or 4", n)
}

// evaluator computes constant integer expressions over the constants of one file.
type evaluator struct {
	src    string
	values map[string]string // name → expression
	depth  int               // of constants defined by constants; bounds recursion
	steps  *int              // taken for this file; bounds repeated evaluation
	rest   string            // the unread part of the current expression
	tok    string
}

func newEvaluator(src string) *evaluator {
	ev := &evaluator{src: src, values: map[string]string{}, steps: new(int)}
	for _, d := range constDecls(src) {
		ev.values[d.name] = src[d.from:d.to]
	}
	return ev
}

// maxSteps is more than any kernel needs.
const maxSteps = 10000

// step counts one step of work.
func (ev *evaluator) step() error {
	if *ev.steps++; *ev.steps > maxSteps {
		return errors.New("its types and constants are too complex")
	}
	return nil
}

// eval computes an expression of + - * / % << >> & | ( ), integers, names, min and max.
func (ev *evaluator) eval(expr string) (int64, error) {
	if ev.depth > 32 {
		return 0, fmt.Errorf("%q: constants are nested too deeply", expr)
	}
	sub := evaluator{values: ev.values, depth: ev.depth + 1, steps: ev.steps, rest: expr}
	sub.next()
	v, err := sub.binary(0)
	if err == nil && sub.tok != "" {
		err = fmt.Errorf("%q is not understood", sub.tok)
	}
	if err != nil {
		return 0, fmt.Errorf("%q: %w", strings.TrimSpace(expr), err)
	}
	return v, nil
}

func (ev *evaluator) next() {
	rest := strings.TrimLeft(ev.rest, space)
	n := 0
	for n < len(rest) && isWordByte(rest[n]) {
		n++
	}
	switch {
	case n > 0 || rest == "":
	case strings.HasPrefix(rest, "<<") || strings.HasPrefix(rest, ">>"):
		n = 2
	default:
		_, n = utf8.DecodeRuneInString(rest)
	}
	ev.tok, ev.rest = rest[:n], rest[n:]
}

var precedence = map[string]int{"|": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}

func (ev *evaluator) binary(least int) (int64, error) {
	x, err := ev.unary()
	for err == nil && precedence[ev.tok] > least {
		op := ev.tok
		ev.next()
		var y int64
		if y, err = ev.binary(precedence[op]); err == nil {
			x, err = apply(op, x, y)
		}
	}
	return x, err
}

func apply(op string, x, y int64) (int64, error) {
	var v int64
	switch op {
	case "+":
		v = x + y
	case "-":
		v = x - y
	case "*":
		v = x * y
	case "&":
		v = x & y
	case "|":
		v = x | y
	case "/", "%":
		if y == 0 {
			return 0, errors.New("division by zero")
		}
		if v = x / y; op == "%" {
			v = x % y
		}
	case "<<", ">>":
		if y < 0 || y > 31 {
			return 0, fmt.Errorf("shift by %d", y)
		}
		if v = x << y; op == ">>" {
			v = x >> y
		}
	}
	// Both operands fit in 33 bits, so int64 has not overflowed.
	if v < math.MinInt32 || v > math.MaxUint32 {
		return 0, fmt.Errorf("%d %s %d does not fit in 32 bits", x, op, y)
	}
	return v, nil
}

func (ev *evaluator) unary() (int64, error) {
	if err := ev.step(); err != nil {
		return 0, err
	}
	tok := ev.tok
	ev.next()
	switch {
	case tok == "-":
		v, err := ev.unary()
		if err != nil {
			return 0, err
		}
		return apply("-", 0, v)
	case tok == "(":
		v, err := ev.binary(0)
		if err == nil && ev.tok != ")" {
			err = errors.New("no closing bracket")
		}
		ev.next()
		return v, err
	case tok == "":
		return 0, errors.New("it ends unexpectedly")
	case tok[0] >= '0' && tok[0] <= '9':
		v, err := strconv.ParseUint(strings.TrimRight(tok, "ui"), 0, 32)
		if err != nil || len(tok) > 1 && tok[0] == '0' && tok[1]|0x20 != 'x' && tok[1] != 'u' && tok[1] != 'i' {
			return 0, fmt.Errorf("%q is not a 32-bit integer", tok)
		}
		return int64(v), nil
	case ev.tok == "(":
		return ev.call(tok)
	}
	expr, ok := ev.values[tok]
	if !ok {
		return 0, fmt.Errorf("%s is not a constant of this kernel", tok)
	}
	return ev.eval(expr)
}

// call computes min, max and the conversions u32 and i32.
func (ev *evaluator) call(name string) (int64, error) {
	args, rest, err := arguments(ev.rest, '(', ')')
	if err != nil {
		return 0, err
	}
	ev.rest = rest
	ev.next()
	var vs []int64
	for _, a := range args {
		v, err := ev.eval(a)
		if err != nil {
			return 0, err
		}
		vs = append(vs, v)
	}
	switch {
	case (name == "u32" || name == "i32") && len(vs) == 1:
		return vs[0], nil
	case name == "min" && len(vs) == 2:
		return min(vs[0], vs[1]), nil
	case name == "max" && len(vs) == 2:
		return max(vs[0], vs[1]), nil
	}
	return 0, fmt.Errorf("function %s with %d arguments is not understood", name, len(vs))
}
