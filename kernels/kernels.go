package kernels

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/internal/sha256"
)

// Consts are the values that a kernel is specialized with: the name of a top-level constant and
// its value, an int, int32, int64, uint32, uint64, float32, float64 or bool that the constant's
// type can hold.
type Consts map[string]any

// Binding is how a kernel binds one buffer.
type Binding int

// The kinds of binding, as written in var<…>.
const (
	Uniform     Binding = iota // var<uniform>
	ReadStorage                // var<storage, read>
	Storage                    // var<storage, read_write>
)

// String returns the binding as WGSL writes it.
func (b Binding) String() string {
	switch b {
	case Uniform:
		return "uniform"
	case ReadStorage:
		return "storage, read"
	case Storage:
		return "storage, read_write"
	}
	return "Binding(" + strconv.Itoa(int(b)) + ")"
}

// Kernel is one specialized kernel, ready to be compiled.
type Kernel struct {
	Key            string    // Name and the constants given: "matvec_q/BITS=4/ROWS=8"
	Name           string    // the file's name without .wgsl
	Entry          string    // the @compute function's name
	Source         string    // WGSL with the constants in place
	Bindings       []Binding // by binding number; all in group 0
	Operands       []int     // by binding number: the number in the file; nil: all of the file's are bound
	MinSizes       []uint64  // bytes each binding must have, as far as its type says: one element of an array<T>
	WorkgroupSize  [3]uint32 // invocations per workgroup along x, y, z
	WorkgroupBytes int       // bytes of var<workgroup> memory
	Needs          []string  // what it enables or requires, by their names in WGSL: "f16", "subgroups" …
}

// Invocations reports how many invocations one workgroup has.
func (k Kernel) Invocations() int {
	return int(k.WorkgroupSize[0]) * int(k.WorkgroupSize[1]) * int(k.WorkgroupSize[2])
}

// Constant returns the value of the integer constant of that name; ok is false if the kernel has none.
func (k Kernel) Constant(name string) (value int, ok bool) {
	n, err := newEvaluator(blankComments(k.Source)).eval(name)
	return int(n), err == nil
}

// Bound returns those of the operands for the bindings of the kernel's file that the specialization binds.
func Bound[T any](k Kernel, operands []T) []T {
	if k.Operands == nil {
		return operands
	}
	bound := make([]T, 0, len(k.Operands))
	for _, i := range k.Operands {
		if i < len(operands) {
			bound = append(bound, operands[i])
		}
	}
	return bound
}

// Names lists the kernels, sorted.
func Names() []string {
	var names []string
	entries, _ := files.ReadDir(".")
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".wgsl"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Specialize returns the kernel of file name.wgsl with its constants set to c. Constants
// that c does not name keep their values from the file.
func Specialize(name string, c Consts) (Kernel, error) {
	src, err := Text(name)
	if err != nil {
		return Kernel{}, err
	}
	return specialize(name, src, c)
}

// Parse does for WGSL text what Specialize does for a file.
func Parse(name, source string, c Consts) (Kernel, error) {
	src, err := assemble(source)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", name, err)
	}
	return specialize(name, src, c)
}

// specialize does it for assembled text.
func specialize(name, source string, c Consts) (Kernel, error) {
	k := Kernel{Key: c.Key(name), Name: name}
	src, err := rewrite(source, c)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", name, err)
	}
	if k.Source, k.Operands, err = bind(src); err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", k.Key, err)
	}
	if err := k.parse(); err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", k.Key, err)
	}
	return k, nil
}

// Key returns the Key of the kernel that Specialize makes with c.
func (c Consts) Key(name string) string {
	key := name
	for _, n := range Sorted(c) {
		key += fmt.Sprintf("/%s=%v", n, c[n])
	}
	return key
}

// Sorted returns the names in a map, in order. slices.Sorted would be a larger download for the browser.
func Sorted[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Stable(sort.StringSlice(names))
	return names
}

// rewrite returns source with the values of the constants in c replaced.
func rewrite(source string, c Consts) (string, error) {
	if len(c) == 0 {
		return source, nil
	}
	var edits []edit
	decls := constDecls(blankComments(source))
	for _, name := range Sorted(c) {
		i := slices.IndexFunc(decls, func(d constDecl) bool { return d.name == name })
		if i < 0 {
			return "", fmt.Errorf("it has no constant %s", name)
		}
		d := decls[i]
		if d.typ == "" {
			return "", fmt.Errorf("constant %s has no type: write `const %s: u32 = …;`", name, name)
		}
		text, err := literal(d.typ, c[name])
		if err != nil {
			return "", fmt.Errorf("constant %s: %w", name, err)
		}
		edits = append(edits, edit{d.from, d.to, text})
	}
	sort.Stable(byPlace(edits)) // slices.SortFunc would be a larger download for the browser
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(source[at:e.from])
		b.WriteString(e.text)
		at = e.to
	}
	b.WriteString(source[at:])
	return b.String(), nil
}

// edit replaces source[from:to] by text.
type edit struct {
	from, to int
	text     string
}

type byPlace []edit

func (b byPlace) Len() int           { return len(b) }
func (b byPlace) Less(i, j int) bool { return b[i].from < b[j].from }
func (b byPlace) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// literal writes v as a WGSL literal of type typ.
func literal(typ string, v any) (string, error) {
	wrong := fmt.Errorf("%v (%T) is not a valid %s", v, v, typ)
	switch typ {
	case "u32", "i32":
		n, ok := integer(v)
		if !ok || typ == "u32" && (n < 0 || n > math.MaxUint32) || typ == "i32" && (n <= math.MinInt32 || n > math.MaxInt32) {
			return "", wrong
		}
		return strconv.FormatInt(n, 10) + typ[:1], nil
	case "f32":
		f, ok := float(v)
		if !ok || math.IsNaN(f) || math.IsInf(float64(float32(f)), 0) {
			return "", wrong
		}
		return strconv.FormatFloat(f, 'e', -1, 32) + "f", nil
	case "bool":
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
	}
	return "", wrong
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case uint32:
		return int64(v), true
	}
	return 0, false
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	n, ok := integer(v)
	return float64(n), ok
}

// Version identifies the text of a kernel with all its pieces: different text, different version. It is "" if
// there is no such kernel.
func Version(name string) string {
	src, err := Text(name)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(src))
	return hex.EncodeToString(sum[:8])
}
