package kernels

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// constDecl is one line `const name: typ = source[from:to];`. typ is empty where it is not written.
type constDecl struct {
	name, typ string
	from, to  int
}

var (
	reConst     = regexp.MustCompile(`(?m)^const\s+([A-Za-z_]\w*)\s*(?::\s*(\w+)\s*)?=\s*([^;]*);`)
	reBinding   = regexp.MustCompile(`@group\(\s*(\w+)\s*\)\s*@binding\(\s*(\w+)\s*\)\s*var\s*<([^>]*)>\s*\w+\s*:([^;]*);`)
	reAnyBind   = regexp.MustCompile(`@binding\b`)
	reWorkgroup = regexp.MustCompile(`var\s*<\s*workgroup\s*>\s*([A-Za-z_]\w*)\s*:([^;]*);`)
	reSize      = regexp.MustCompile(`@workgroup_size\s*\(`)
	reEntry     = regexp.MustCompile(`@compute\b`)
	reFn        = regexp.MustCompile(`\bfn\s+([A-Za-z_]\w*)`)
	reToken     = regexp.MustCompile(`^\s*(0[xX][0-9a-fA-F]+[ui]?|[0-9]+[ui]?|[A-Za-z_]\w*|<<|>>|.)`)
)

// blankComments replaces comments by spaces, so that offsets stay what they were.
func blankComments(src string) string {
	b := []byte(src)
	blank := func(i int) {
		if b[i] != '\n' {
			b[i] = ' '
		}
	}
	for i := 0; i+1 < len(b); i++ {
		switch {
		case b[i] == '/' && b[i+1] == '/':
			for ; i < len(b) && b[i] != '\n'; i++ {
				blank(i)
			}
		case b[i] == '/' && b[i+1] == '*':
			depth := 0 // WGSL's block comments nest
			for ; i < len(b); i++ {
				two := string(b[i:min(i+2, len(b))])
				blank(i)
				if two == "/*" || two == "*/" {
					blank(i + 1)
					i++
					if depth += map[string]int{"/*": 1, "*/": -1}[two]; depth == 0 {
						break
					}
				}
			}
		}
	}
	return string(b)
}

// constDecls finds the top-level constants; src has no comments.
func constDecls(src string) []constDecl {
	var ds []constDecl
	for _, m := range reConst.FindAllStringSubmatchIndex(src, -1) {
		d := constDecl{name: src[m[2]:m[3]], from: m[6], to: m[7]}
		if m[4] >= 0 {
			d.typ = src[m[4]:m[5]]
		}
		ds = append(ds, d)
	}
	return ds
}

// parse fills in what the source says: entry point, bindings, workgroup size and memory.
func (k *Kernel) parse() error {
	src := blankComments(k.Source)
	ev := newEvaluator(src)
	if err := k.parseEntry(ev); err != nil {
		return err
	}
	if err := k.parseBindings(ev); err != nil {
		return err
	}
	for _, m := range reWorkgroup.FindAllStringSubmatch(src, -1) {
		l, err := ev.layout(m[2])
		if err != nil {
			return fmt.Errorf("workgroup variable %s: %w", m[1], err)
		}
		size := roundUp(l.size, 16) // as the WebGPU limit counts it
		if size > math.MaxInt32-int64(k.WorkgroupBytes) {
			return fmt.Errorf("workgroup variable %s: too large", m[1])
		}
		k.WorkgroupBytes += int(size)
	}
	return nil
}

// parseEntry finds the one @compute function and its workgroup size.
func (k *Kernel) parseEntry(ev *evaluator) error {
	if n := len(reEntry.FindAllString(ev.src, -1)); n != 1 {
		return fmt.Errorf("it has %d @compute functions, want 1", n)
	}
	loc := reSize.FindStringIndex(ev.src)
	if loc == nil {
		return errors.New("it has no @workgroup_size")
	}
	args, rest, err := arguments(ev.src[loc[1]:], '(', ')')
	if err != nil || len(args) > 3 {
		return errors.New("@workgroup_size is not understood")
	}
	k.WorkgroupSize = [3]uint32{1, 1, 1}
	for i, a := range args {
		n, err := ev.eval(a)
		if err != nil {
			return fmt.Errorf("@workgroup_size: %w", err)
		}
		if n < 1 || n > 1<<16 {
			return fmt.Errorf("@workgroup_size: %d is not between 1 and 65536", n)
		}
		k.WorkgroupSize[i] = uint32(n)
	}
	fn := reFn.FindStringSubmatch(rest)
	if fn == nil {
		return errors.New("@workgroup_size stands before no function")
	}
	k.Entry = fn[1]
	return nil
}

// parseBindings reads the `@group(0) @binding(N) var<…>` declarations; the numbers must be
// 0, 1, 2 … in any order.
func (k *Kernel) parseBindings(ev *evaluator) error {
	ms := reBinding.FindAllStringSubmatch(ev.src, -1)
	if n := len(reAnyBind.FindAllString(ev.src, -1)); n != len(ms) {
		return fmt.Errorf("%d of its %d bindings are not written `@group(0) @binding(N) var<…>`", n-len(ms), n)
	}
	k.Bindings = make([]Binding, len(ms))
	k.MinSizes = make([]uint64, len(ms))
	seen := make([]bool, len(ms))
	for _, m := range ms {
		group, err := ev.eval(m[1])
		if err != nil || group != 0 {
			return fmt.Errorf("@group(%s): want group 0", m[1])
		}
		n, err := ev.eval(m[2])
		if err != nil || n < 0 || n >= int64(len(ms)) || seen[n] {
			return fmt.Errorf("@binding(%s): want the numbers 0 to %d, each once", m[2], len(ms)-1)
		}
		seen[n] = true
		k.MinSizes[n] = ev.minSize(m[4])
		switch strings.Join(strings.Fields(m[3]), "") {
		case "uniform":
			k.Bindings[n] = Uniform
		case "storage", "storage,read":
			k.Bindings[n] = ReadStorage
		case "storage,read_write":
			k.Bindings[n] = Storage
		default:
			return fmt.Errorf("@binding(%s): var<%s>: want uniform or storage", m[2], m[3])
		}
	}
	return nil
}

// minSize is how large a bound buffer must be for its type: a whole one, or one element where
// the length is the buffer's. Structs and the like are left to the driver, which does check those.
func (ev *evaluator) minSize(typ string) uint64 {
	if l, err := ev.layout(typ); err == nil {
		return uint64(l.size)
	}
	head, tail, _ := strings.Cut(typ, "<")
	if args, _, err := arguments(tail, '<', '>'); err == nil && strings.TrimSpace(head) == "array" && len(args) == 1 {
		if l, err := ev.layout(args[0]); err == nil {
			return uint64(roundUp(l.size, l.align))
		}
	}
	return 0
}

// arguments splits "a, b) rest" at the commas up to the closing bracket; the opening one is gone.
func arguments(s string, opening, closing byte) (args []string, rest string, err error) {
	depth, from := 0, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == opening || s[i] == '(' || s[i] == '<':
			depth++
		case depth == 0 && (s[i] == closing || s[i] == ','):
			if arg := strings.TrimSpace(s[from:i]); arg != "" {
				args = append(args, arg)
			}
			if s[i] == closing {
				return args, s[i+1:], nil
			}
			from = i + 1
		case s[i] == closing || s[i] == ')' || s[i] == '>':
			depth--
		}
	}
	return nil, "", fmt.Errorf("%q: no closing %q", s, closing)
}

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
	depth  int               // of names inside names: a constant defined by itself must end
	steps  *int              // taken for this file: so must one defined twice by another, defined twice …
	rest   string            // what is still to be read of the current expression
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
		return errors.New("its types and constants are too complicated")
	}
	return nil
}

// eval computes an expression of + - * / % << >> & | ( ), integers, names, min and max.
func (ev *evaluator) eval(expr string) (int64, error) {
	if ev.depth > 32 {
		return 0, fmt.Errorf("%q: constants are defined by one another too deeply", expr)
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
	m := reToken.FindStringSubmatchIndex(ev.rest)
	if m == nil || strings.TrimSpace(ev.rest) == "" {
		ev.tok, ev.rest = "", ""
		return
	}
	ev.tok, ev.rest = ev.rest[m[2]:m[3]], ev.rest[m[1]:]
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
	// Both operands fit in 32 bits and a sign, so int64 cannot have overflowed before this.
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
		return 0, errors.New("it ends too early")
	case tok[0] >= '0' && tok[0] <= '9':
		v, err := strconv.ParseUint(strings.TrimRight(tok, "ui"), 0, 32)
		if err != nil || len(tok) > 1 && tok[0] == '0' && tok[1]|0x20 != 'x' && tok[1] != 'u' && tok[1] != 'i' {
			return 0, fmt.Errorf("%q is no 32-bit integer", tok)
		}
		return int64(v), nil
	case ev.tok == "(":
		return ev.call(tok)
	}
	expr, ok := ev.values[tok]
	if !ok {
		return 0, fmt.Errorf("%s is no constant of this file", tok)
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
