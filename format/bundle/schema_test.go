package bundle_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

const schemaFile = "../../docs/manifest.schema.json"

// member is a member of an object as a Go type has it.
type member struct {
	typ    reflect.Type
	always bool // it is written even if it is zero
}

// membersOf returns the members of a struct as JSON, those of embedded structs too.
func membersOf(t reflect.Type) map[string]member {
	all := map[string]member{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			maps.Copy(all, membersOf(f.Type))
		default:
			all[name] = member{f.Type, !strings.Contains(options, "omit")}
		}
	}
	return all
}

// walker compares Go types with a schema.
type walker struct {
	*testing.T
	defs  map[string]any
	names map[reflect.Type][]string // of the constants that types of strings have
	seen  int                       // objects
}

// compare reports where a schema is not that of a type.
func (w *walker) compare(at string, t reflect.Type, schema map[string]any) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = w.defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	switch t.Kind() {
	case reflect.Pointer:
		w.compare(at, t.Elem(), schema)
	case reflect.Slice:
		w.compare(at+"[]", t.Elem(), schema["items"].(map[string]any))
	case reflect.Struct:
		w.object(at, t, schema)
	case reflect.String:
		if want := w.names[t]; want != nil {
			var have []string
			for _, v := range schema["enum"].([]any) {
				have = append(have, v.(string))
			}
			slices.Sort(have)
			if diff := cmp.Diff(want, have); diff != "" {
				w.Errorf("%s: values of %v (−) and the schema's (+): %s", at, t, diff)
			}
		}
	}
}

func (w *walker) object(at string, t reflect.Type, schema map[string]any) {
	w.seen++
	members, properties := membersOf(t), schema["properties"].(map[string]any)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(members)), slices.Sorted(maps.Keys(properties))); diff != "" {
		w.Errorf("%s: members of %v (−) and the schema's (+): %s", at, t, diff)
	}
	if schema["additionalProperties"] != false {
		w.Errorf("%s: the schema allows members that readers refuse", at)
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if !members[name.(string)].always {
			w.Errorf("%s: the schema requires %s, which is not always written", at, name)
		}
	}
	for name, m := range members {
		if p, ok := properties[name].(map[string]any); ok {
			w.compare(at+"."+name, m.typ, p)
		}
	}
}

// constants returns the values of the constants of a package's string types, sorted, without "".
func constants(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	all := map[string][]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, named := spec.Type.(*ast.Ident)
			value, literal := spec.Values[0].(*ast.BasicLit)
			if named && literal && value.Kind == token.STRING {
				if text, _ := strconv.Unquote(value.Value); text != "" {
					all[kind.Name] = append(all[kind.Name], text)
				}
			}
			return true
		})
	}
	for _, list := range all {
		slices.Sort(list)
	}
	return all
}

// TestSchemaComplete walks the Go types of a manifest: the schema has each of their members and each value of those that are one of
// several words, and no others.
func TestSchemaComplete(t *testing.T) {
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	w := &walker{T: t, defs: schema["$defs"].(map[string]any), names: map[reflect.Type][]string{}}
	words := map[string]map[string][]string{"model": constants(t, "../model"), "bundle": constants(t, ".")}
	var name func(typ reflect.Type)
	name = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			name(typ.Elem())
		case reflect.Struct:
			for _, m := range membersOf(typ) {
				name(m.typ)
			}
		case reflect.String:
			if list := words[filepath.Base(typ.PkgPath())][typ.Name()]; list != nil {
				w.names[typ] = list
			}
		}
	}
	manifest := reflect.TypeFor[bundle.Manifest]()
	name(manifest)
	w.compare("manifest", manifest, schema)
	if w.seen < 20 || len(w.names) != 5 {
		t.Errorf("%d objects and %d types of words were compared", w.seen, len(w.names))
	}
}

// TestSchemaFamilies holds the description of each family's model to the schema.
func TestSchemaFamilies(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile(schemaFile + "#/$defs/spec")
	if err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Glob(filepath.Join(fixture.Families(t), "*", "config.json"))
	if err != nil || len(configs) < 100 {
		t.Fatalf("%d families, %v", len(configs), err)
	}
	for _, path := range configs {
		config, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := hf.ParseConfig(config)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
