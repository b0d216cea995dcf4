package kernels

import (
	"fmt"
	"strconv"
	"strings"
)

// ifMark stands behind a binding that only some specializations of a kernel use: `// if N` with a constant expression, up to a
// colon or the end of the line.
const ifMark = "// if "

// bind leaves out the bindings whose expression is 0, because what a dispatch costs the CPU grows with what it binds, used or not.
// A variable of the same name takes the place of each, for the code that is never reached; the bindings that stay are numbered
// anew. It returns their old numbers by the new ones, or nil if all stay.
func bind(source string) (string, []int, error) {
	if !strings.Contains(source, ifMark) {
		return source, nil, nil
	}
	ev := newEvaluator(blankComments(source))
	lines := strings.Split(source, "\n")
	at := map[int]int{} // number of a binding → its line
	for i, line := range lines {
		if number, _, ok := cutBinding(line); ok {
			at[number] = i
		}
	}
	var operands []int
	for number := range len(at) {
		i, ok := at[number]
		if !ok {
			return "", nil, fmt.Errorf("@binding(%d) is missing: want the numbers 0 to %d, each once", number, len(at)-1)
		}
		_, rest, _ := cutBinding(lines[i])
		stays, err := bound(ev, lines[i])
		switch {
		case err != nil:
			return "", nil, err
		case stays:
			lines[i] = bindingStart + strconv.Itoa(len(operands)) + ")" + rest
			operands = append(operands, number)
		default:
			if lines[i], err = unbound(rest); err != nil {
				return "", nil, err
			}
		}
	}
	if len(operands) == len(at) {
		operands = nil
	}
	return strings.Join(lines, "\n"), operands, nil
}

const bindingStart = "@group(0) @binding("

// cutBinding returns the number of the binding that a line declares, and what follows it.
func cutBinding(line string) (number int, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(line, bindingStart); !ok {
		return 0, "", false
	}
	digits, rest, ok := strings.Cut(rest, ")")
	number, err := strconv.Atoi(digits)
	return number, rest, ok && err == nil && number >= 0 && number < 64
}

// bound reports whether the binding that a line declares stays.
func bound(ev *evaluator, line string) (bool, error) {
	_, expr, marked := strings.Cut(line, ifMark)
	if !marked {
		return true, nil
	}
	expr, _, _ = strings.Cut(expr, ":")
	n, err := ev.eval(expr)
	if err != nil {
		return false, fmt.Errorf("%s%w", ifMark, err)
	}
	return n != 0, nil
}

// unbound declares a variable in place of a binding, of which rest is what follows its number.
func unbound(rest string) (string, error) {
	_, decl, _ := strings.Cut(rest, ">")
	name, typ, _ := strings.Cut(decl, ": array<")
	elem, _, ok := strings.Cut(typ, ">;")
	if !ok {
		return "", fmt.Errorf("%q: only an array can stay unbound", strings.TrimSpace(rest))
	}
	space := "private"
	if strings.HasPrefix(elem, "atomic<") {
		space = "workgroup" // WGSL has no private atomics
	}
	return "var<" + space + ">" + name + ": array<" + elem + ", 1>;", nil
}
