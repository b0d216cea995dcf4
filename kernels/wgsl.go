package kernels

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// constDecl is one line `const name: typ = source[from:to];`. typ is empty if it is not written.
type constDecl struct {
	name, typ string
	from, to  int
}

// blankComments replaces comments by spaces, so that offsets stay the same.
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
	for _, i := range words(src, "const") {
		if i > 0 && src[i-1] != '\n' {
			continue
		}
		s := scan(src[i+len("const"):])
		d := constDecl{name: s.name()}
		if strings.HasPrefix(strings.TrimLeft(s.rest, space), ":") {
			s.is(":")
			d.typ = s.word()
		}
		s.is("=")
		s.rest = strings.TrimLeft(s.rest, space)
		d.from = len(src) - len(s.rest)
		if d.to = d.from + len(s.until(';')); s.ok {
			ds = append(ds, d)
		}
	}
	return ds
}

// parse fills in what the source says: entry point, bindings, workgroup size and memory.
func (k *Kernel) parse() error {
	src := blankComments(k.Source)
	ev := newEvaluator(src)
	k.Needs = needs(src)
	if err := k.parseEntry(ev); err != nil {
		return err
	}
	if err := k.parseBindings(ev); err != nil {
		return err
	}
	for _, i := range words(src, "var") {
		s := scan(src[i+len("var"):])
		s.is("<", "workgroup", ">")
		name := s.name()
		s.is(":")
		typ := s.until(';')
		if !s.ok {
			continue
		}
		l, err := ev.layout(typ)
		if err != nil {
			return fmt.Errorf("workgroup variable %s: %w", name, err)
		}
		size := roundUp(l.size, 16) // as the WebGPU limit counts it
		if size > math.MaxInt32-int64(k.WorkgroupBytes) {
			return fmt.Errorf("workgroup variable %s: too large", name)
		}
		k.WorkgroupBytes += int(size)
	}
	return nil
}

// needs finds the extensions enabled or required before the first declaration.
func needs(src string) []string {
	var names []string
	for s := scan(src); s.ok; {
		if w := s.name(); w != "enable" && w != "requires" {
			break
		}
		for _, name := range strings.Split(s.until(';'), ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// parseEntry finds the one @compute function and its workgroup size.
func (k *Kernel) parseEntry(ev *evaluator) error {
	if n := len(words(ev.src, "@compute")); n != 1 {
		return fmt.Errorf("it has %d @compute functions, want 1", n)
	}
	at := word(ev.src, "@workgroup_size", 0)
	if at < 0 {
		return errors.New("it has no @workgroup_size")
	}
	s := scan(ev.src[at+len("@workgroup_size"):])
	if s.is("("); !s.ok {
		return errors.New("it has no @workgroup_size")
	}
	args, rest, err := arguments(s.rest, '(', ')')
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
	fn := word(rest, "fn", 0)
	if fn >= 0 {
		s = scan(rest[fn+len("fn"):])
		k.Entry = s.name()
	}
	if fn < 0 || !s.ok {
		return errors.New("@workgroup_size is not followed by a function")
	}
	return nil
}

// bindingDecl is one `@group(group) @binding(binding) var<space> name: typ;`.
type bindingDecl struct{ group, binding, space, typ string }

func bindingDecls(src string) []bindingDecl {
	var ds []bindingDecl
	for _, i := range words(src, "@group") {
		s, d := scan(src[i+len("@group"):]), bindingDecl{}
		s.is("(")
		d.group = s.word()
		s.is(")", "@binding", "(")
		d.binding = s.word()
		s.is(")", "var", "<")
		d.space = s.until('>')
		s.name()
		s.is(":")
		if d.typ = s.until(';'); s.ok {
			ds = append(ds, d)
		}
	}
	return ds
}

// parseBindings reads the `@group(0) @binding(N) var<…>` declarations; the numbers must be
// 0, 1, 2 … in any order.
func (k *Kernel) parseBindings(ev *evaluator) error {
	ms := bindingDecls(ev.src)
	if n := len(words(ev.src, "@binding")); n != len(ms) {
		return fmt.Errorf("%d of its %d bindings are not written `@group(0) @binding(N) var<…>`", n-len(ms), n)
	}
	k.Bindings = make([]Binding, len(ms))
	k.MinSizes = make([]uint64, len(ms))
	seen := make([]bool, len(ms))
	for _, m := range ms {
		group, err := ev.eval(m.group)
		if err != nil || group != 0 {
			return fmt.Errorf("@group(%s): want group 0", m.group)
		}
		n, err := ev.eval(m.binding)
		if err != nil || n < 0 || n >= int64(len(ms)) || seen[n] {
			return fmt.Errorf("@binding(%s): want the numbers 0 to %d, each once", m.binding, len(ms)-1)
		}
		seen[n] = true
		k.MinSizes[n] = ev.minSize(m.typ)
		switch strings.Join(strings.Fields(m.space), "") {
		case "uniform":
			k.Bindings[n] = Uniform
		case "storage", "storage,read":
			k.Bindings[n] = ReadStorage
		case "storage,read_write":
			k.Bindings[n] = Storage
		default:
			return fmt.Errorf("@binding(%s): var<%s>: want uniform or storage", m.binding, m.space)
		}
	}
	return nil
}

// minSize is the least size of a buffer bound as typ: all of it, or one element of an array whose
// length is that of the buffer. Structs and the like are left to the driver, which checks those.
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

// arguments splits "a, b) rest" at the commas up to the closing bracket.
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
