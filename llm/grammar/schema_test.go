package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled returns the constraint of a schema, and what says whether a text is accepted.
func compiled(t *testing.T, schema string, v *Vocabulary) (*Constraint, func(text string) error) {
	t.Helper()
	g, err := FromSchema([]byte(schema))
	if err != nil {
		t.Fatalf("%s\n%v", schema, err)
	}
	c, err := New(g, v)
	if err != nil {
		t.Fatalf("%s\n%v", schema, err)
	}
	return c, validator(t, schema)
}

// validator is the oracle: another implementation of JSON Schema.
func validator(t *testing.T, schema string) func(text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatalf("%s\n%v", schema, err)
	}
	return func(text string) error {
		if !json.Valid([]byte(text)) {
			return fmt.Errorf("no JSON")
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// write lets a random model write a text: it likes to end, and else takes whatever is allowed. It reports whether the text ended.
func write(t *testing.T, c *Constraint, rng *rand.Rand, most int) (text string, ended bool) {
	t.Helper()
	m, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	for range most {
		if m.Final() || m.Done() && rng.IntN(2) == 0 {
			return text, true
		}
		mask, err := m.Allowed()
		if err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		id := choose(mask, c.v, rng)
		if err := m.Accept(id); err != nil {
			t.Fatalf("after %q, %q: %v", text, c.v.tokens[id], err)
		}
		text += string(c.v.tokens[id])
	}
	return text, m.Done()
}

// choose prefers what ends something.
func choose(mask Mask, v *Vocabulary, rng *rand.Rand) int32 {
	var all, closing []int32
	for id := range int32(v.Size()) {
		if mask.Has(id) && len(v.tokens[id]) > 0 {
			all = append(all, id)
			if bytes.ContainsAny(v.tokens[id], `"]}`) {
				closing = append(closing, id)
			}
		}
	}
	if len(closing) > 0 && rng.IntN(3) == 0 {
		return closing[rng.IntN(len(closing))]
	}
	return all[rng.IntN(len(all))]
}

// jsonVocabulary has tokens as they are in text, across the parts of JSON.
func jsonVocabulary() *Vocabulary {
	return bytesVocabulary(`{"`, `":`, `": "`, `","`, `", "`, `"}`, `"]`, `["`, "],", "},", "{}", "[]", "[{", "}]", "\n  ", `",`+"\n", "true", "false", "null", "name", "value", "12", "000", ".5", "e+", `\"`, `\u00`, "é", "日本", "\U0001F600", "-1", "abc", "kind", `{"kind":"`, "2024", "-0", "T1")
}

func TestSchemas(t *testing.T) {
	v := jsonVocabulary()
	for _, test := range []struct {
		schema   string
		yes, not []string
	}{
		{
			`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}`,
			[]string{`{"a":1}`, `{"a":-12,"b":"x"}`, "{\n  \"a\": 1, \"b\": \"\\u00e9\"}"},
			[]string{`{}`, `{"b":"x"}`, `{"a":1.5}`, `{"a":1,"c":2}`, `{"a":01}`, `{"a":1`},
		},
		{
			`{"type":"object","properties":{"a":{},"b":{"type":"null"},"c":{"type":"null"}}}`,
			[]string{`{}`, `{"b":null}`, `{"a":[{}],"c":null}`},
			[]string{`{"c":null,"b":null}`, `{,"b":null}`, `{"b":null,}`},
		},
		{`{"type":["string","null"],"maxLength":3,"minLength":1}`, []string{`"abc"`, `"日本é"`, `"\n"`, `null`}, []string{`""`, `"abcd"`, `3`, `"\ud800"`}},
		{`{"type":"array","items":{"enum":[1,"x",null,{"a":[]}]},"minItems":1,"maxItems":2}`, []string{`[1]`, `["x",{"a":[]}]`, `[ null, 1 ]`}, []string{`[]`, `[1,1,1]`, `[2]`, `[1,]`}},
		{`{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false}`, []string{`[]`, `[1]`, `[1,"a"]`}, []string{`["a"]`, `[1,"a",2]`}},
		{`{"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"boolean"},"minItems":2,"maxItems":3}`, []string{`[1,true]`, `[1, true, false]`}, []string{`[1]`, `[1,true,true,true]`}},
		{`{"type":"string","pattern":"^[a-c]+(\\d{2}|\\.)$"}`, []string{`"ab12"`, `"c."`}, []string{`"d."`, `"ab1"`, `"xa."`}},
		{`{"type":"string","pattern":"a|^b$"}`, []string{`"xay"`, `"b"`}, []string{`"xb"`, `""`}},
		{`{"type":"string","pattern":"^\"\\\\$"}`, []string{`"\"\\"`}, []string{`""`}},
		{`{"type":"integer","minimum":-3,"exclusiveMaximum":12}`, []string{`-3`, `0`, `11`, `-1`}, []string{`-4`, `12`, `1.0`, `1e1`, `00`}},
		{`{"type":"number","exclusiveMinimum":0,"maximum":0.25}`, []string{`0.25`, `0.001`, `0.2`, `0.250`}, []string{`0`, `0.0`, `0.26`, `-0.1`, `0.2501`, `1`}},
		{`{"type":"number","minimum":-1.5,"maximum":1.75}`, []string{`-1.5`, `1.75`, `0`, `-0.3`, `1`, `1.70`}, []string{`-1.51`, `1.8`, `2`, `-2`}},
		{`{"type":"integer","minimum":98,"maximum":1203}`, []string{`98`, `99`, `100`, `999`, `1203`}, []string{`97`, `1204`, `2000`, `9`, `12030`}},
		{`{"anyOf":[{"type":"integer"},{"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]}]}`, []string{`1`, `{"n":{"n":3}}`}, []string{`{}`, `{"n":{}}`}},
		{
			`{"$defs":{"node":{"type":"object","properties":{"v":{"type":"number"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},"$ref":"#/$defs/node"}`,
			[]string{`{"v":1,"next":{"v":2,"next":null}}`},
			[]string{`{"v":1}`, `{"v":1,"next":{}}`},
		},
		{
			`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind","x"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]}`,
			[]string{`{"kind":"a","x":1}`, `{"kind":"b"}`},
			[]string{`{"kind":"a"}`, `{"kind":"c"}`},
		},
		{
			`{"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"required":["a"]},{"properties":{"a":{"maximum":3},"b":{"type":"boolean"}},"required":["b"]}]}`,
			[]string{`{"a":3,"b":true}`},
			[]string{`{"a":4,"b":true}`, `{"a":1}`},
		},
		{`{"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2}`, []string{`{"x":1}`, `{"x":1,"y":2}`}, []string{`{}`, `{"x":1,"y":2,"z":3}`, `{"x":"1"}`}},
		{
			`{"type":"object","properties":{"ab":{"type":"integer"}},"additionalProperties":{"type":"string"}}`,
			[]string{`{"ab":1,"abc":"x","a":"y"}`, `{"":"x"}`, `{"b":"x"}`},
			[]string{`{"ab":"x"}`, `{"abc":1}`, `{"x":"y","ab":"z"}`, `{"\u0061b":"x"}`},
		},
		{`{"$defs":{"a b/c":{"type":"null"}},"$ref":"#/$defs/a%20b~1c"}`, []string{`null`}, []string{`1`}},
		{`{"type":"string","format":"date"}`, []string{`"2024-02-28"`, `"1999-12-31"`}, []string{`"2024-02-30"`, `"2024-1-1"`, `"2024-04-31"`}},
		{`{"type":"string","format":"int32","title":"a note"}`, []string{`"anything"`}, []string{`1`}},
		{`true`, []string{`{"a":[1,2,{"b":null}]}`, `-0.5e+10`, `"x"`}, []string{``, `{`, `[1 2]`, `nul`}},
	} {
		c, valid := compiled(t, test.schema, v)
		for _, text := range test.yes {
			if !takes(t, c, text) {
				t.Errorf("%s\nrefuses %s", test.schema, text)
			}
			if err := valid(text); err != nil {
				t.Errorf("%s\nthe oracle refuses %s: %v", test.schema, text, err)
			}
		}
		for _, text := range test.not {
			if takes(t, c, text) {
				t.Errorf("%s\nallows %s", test.schema, text)
			}
		}
	}
}

func TestSchemaMistakes(t *testing.T) {
	for schema, want := range map[string]string{
		`{`:                "schema: ",
		`3`:                "#: schema: want an object or a boolean",
		`false`:            "it allows no text",
		`{"type":"strin"}`: `#/type: schema: "strin" is no type of JSON`,
		`{"not":{}}`:       "#/not: schema: not is not supported",
		`{"type":"object","properties":{"a":{"patternProperties":{}}}}`:      "#/properties/a/patternProperties: schema: patternProperties is not supported",
		`{"type":"array","uniqueItems":true}`:                                "uniqueItems is not supported",
		`{"type":"string","pattern":"(?=a)"}`:                                "#/pattern: schema: the pattern \"(?=a)\", character 4: what looks ahead",
		`{"type":"string","pattern":"a\\bc"}`:                                `\b in the middle of the pattern is not supported`,
		`{"type":"string","format":"regex"}`:                                 "the format regex is not supported",
		`{"type":"string","pattern":"a","maxLength":3}`:                      "pattern beside minLength, maxLength or another pattern is not supported",
		`{"type":"number","multipleOf":0.5}`:                                 "multipleOf is not supported",
		`{"$ref":"other.json"}`:                                              `"other.json" is not a part of this schema`,
		`{"$ref":"#/$defs/x"}`:                                               "there is no #/$defs/x",
		`{"$ref":"#"}`:                                                       "never comes to an end",
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`: "never comes to an end",
		`{"allOf":[{"$ref":"#"}]}`:                                           "or a $ref that leads to itself",
		`{"oneOf":[{"type":"integer"},{"type":"number"}]}`:                   "which oneOf forbids: use anyOf",
		`{"type":"integer","minimum":3,"maximum":2}`:                         "it allows no text",
		`{"type":"string","minLength":-1}`:                                   "want a whole number",
		`{"type":"string","maxLength":1e9}`:                                  "want a whole number up to",
		`{"enum":[1],"minimum":3}`:                                           "minimum beside enum or const is not supported",
		`{"type":"object","properties":{"a":{}},"minProperties":1}`:          "minProperties is supported only where there are no properties",
		`{"allOf":[{"pattern":"a"},{"pattern":"b"}]}`:                        "pattern is in schemas that must all hold",
	} {
		g, err := FromSchema([]byte(schema))
		if err == nil {
			_, err = New(g, bytesVocabulary())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", schema, err, want)
		}
	}
}

// TestRandomSchemas lets random models write under random schemas: what ends is accepted by the oracle.
func TestRandomSchemas(t *testing.T) {
	v := jsonVocabulary()
	rng := rand.New(rand.NewPCG(5, 6))
	ended, refused := 0, 0
	for range 400 {
		schema := randomSchema(rng, 3)
		g, err := FromSchema([]byte(schema))
		if err != nil {
			refused++
			continue
		}
		c, err := New(g, v)
		if err != nil {
			refused++
			continue
		}
		valid := validator(t, schema)
		for range 5 {
			text, end := write(t, c, rng, 400)
			if !end {
				continue
			}
			ended++
			if err := valid(text); err != nil {
				t.Fatalf("%s\nwrote %s\n%v", schema, text, err)
			}
		}
	}
	if ended < 1000 || refused > 100 {
		t.Errorf("%d texts ended, %d schemas were refused", ended, refused)
	}
}

// randomSchema writes a schema.
func randomSchema(rng *rand.Rand, depth int) string {
	sub := func() string { return randomSchema(rng, depth-1) }
	number := func() string { return fmt.Sprintf("%.*f", rng.IntN(3), rng.NormFloat64()*30) }
	kinds := []func() string{
		func() string { return `{"type":"boolean"}` },
		func() string { return `{"type":"null"}` },
		func() string { return `{"type":"string"}` },
		func() string {
			a := rng.IntN(4)
			return fmt.Sprintf(`{"type":"string","minLength":%d,"maxLength":%d}`, a, a+rng.IntN(9))
		},
		func() string {
			return fmt.Sprintf(`{"type":"string","pattern":%q}`, []string{"^a+b?$", "[0-9]{2}", "^(x|yz)*$", "^\\w+@\\w+$", "é|ü", "^.{2,3}$"}[rng.IntN(6)])
		},
		func() string {
			return fmt.Sprintf(`{"type":"string","format":%q}`, []string{"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}[rng.IntN(10)])
		},
		func() string { return `{"type":"integer"}` },
		func() string {
			return fmt.Sprintf(`{"type":"integer","minimum":%s,"maximum":%s}`, number(), fmt.Sprint(20+rng.IntN(2000)))
		},
		func() string { return `{"type":"number"}` },
		func() string {
			return fmt.Sprintf(`{"type":"number","%s":%s}`, []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}[rng.IntN(4)], number())
		},
		func() string {
			return fmt.Sprintf(`{"type":"number","minimum":%s,"exclusiveMaximum":%s}`, number(), fmt.Sprintf("%.2f", 40+rng.Float64()*100))
		},
		func() string { return fmt.Sprintf(`{"enum":[%q,%s,null,[1,"a"],{"k":true}]}`, "e\n\"", number()) },
		func() string { return `{"const":{"a":[1,{}]}}` },
		func() string { return `{}` },
	}
	if depth > 0 {
		kinds = append(kinds, func() string {
			a := rng.IntN(3)
			return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, sub(), a, a+rng.IntN(4))
		}, func() string {
			return fmt.Sprintf(`{"type":"array","prefixItems":[%s,%s],"items":%s,"minItems":%d}`, sub(), sub(), sub(), rng.IntN(4))
		}, func() string { return fmt.Sprintf(`{"anyOf":[%s,%s]}`, sub(), sub()) },
			func() string { return fmt.Sprintf(`{"oneOf":[%s,%s]}`, sub(), sub()) },
			func() string { return randomObject(rng, sub) }, func() string { return randomObject(rng, sub) },
			func() string {
				return fmt.Sprintf(`{"type":"object","additionalProperties":%s,"maxProperties":%d}`, sub(), 1+rng.IntN(3))
			},
			func() string {
				return fmt.Sprintf(`{"allOf":[%s,{"type":"object","properties":{"name":{"type":["string","integer","null"]}}}]}`, randomObject(rng, sub))
			})
	}
	return kinds[rng.IntN(len(kinds))]()
}

// randomObject writes the schema of an object.
func randomObject(rng *rand.Rand, sub func() string) string {
	names := []string{"name", "value", "kind", "a\"b", "é", ""}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var properties, required []string
	for _, n := range names[:rng.IntN(5)] {
		quoted, _ := json.Marshal(n)
		properties = append(properties, string(quoted)+":"+sub())
		if rng.IntN(2) == 0 {
			required = append(required, string(quoted))
		}
	}
	text := fmt.Sprintf(`{"type":"object","properties":{%s},"required":[%s]`, strings.Join(properties, ","), strings.Join(slices.Clip(required), ","))
	switch rng.IntN(4) {
	case 0:
		text += `,"additionalProperties":false`
	case 1:
		text += `,"additionalProperties":` + sub()
	}
	return text + "}"
}

// TestJSON lets random models write any object.
func TestJSON(t *testing.T) {
	c, err := New(JSON(), jsonVocabulary())
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		if text, end := write(t, c, rng, 300); end && (!json.Valid([]byte(text)) || text[0] != '{') {
			t.Fatalf("wrote %s", text)
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#"},"b":{"type":["string","null"],"pattern":"^a.c$"}},"required":["b"]}`)
	f.Add(`{"anyOf":[{"type":"integer","minimum":-3.5},{"enum":[1,"x"]}],"$defs":{"x":{"allOf":[true,{"items":{}}]}}}`)
	v := jsonVocabulary()
	f.Fuzz(func(t *testing.T, schema string) {
		g, err := FromSchema([]byte(schema))
		if err != nil {
			return
		}
		c, err := New(g, v)
		if err != nil {
			return
		}
		rng := rand.New(rand.NewPCG(1, 1))
		if text, end := write(t, c, rng, 200); end && !json.Valid([]byte(text)) {
			t.Errorf("%s\nwrote %s", schema, text)
		}
	})
}
