package kernels

import (
	"errors"
	"fmt"
	"math"
	"regexp"
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
