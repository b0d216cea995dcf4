package hf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An Edit changes the text of a config.json before it is read.
type Edit func(config []byte) ([]byte, error)

// ScaleRoPE returns an Edit that gives a model another RoPE scaling, to stretch its context: TYPE:FACTOR
// (linear, dynamic, yarn), which multiplies the context by FACTOR, or a JSON object as config.json has it
// under rope_scaling, for types that need more (longrope, llama3). RoPE's base does not change.
func ScaleRoPE(scaling string) (Edit, error) {
	if strings.HasPrefix(strings.TrimSpace(scaling), "{") {
		var given map[string]jsontext.Value
		if err := json.Unmarshal([]byte(scaling), &given); err != nil {
			return nil, fmt.Errorf("RoPE scaling: %w", err)
		}
		return func(config []byte) ([]byte, error) { return scaleRoPE(config, given, 1) }, nil
	}
	name, text, ok := strings.Cut(scaling, ":")
	factor, err := strconv.ParseFloat(text, 32)
	if !ok || err != nil || !(factor >= 1) || !slices.Contains([]string{"linear", "dynamic", "yarn"}, name) {
		return nil, fmt.Errorf("RoPE scaling %q: want linear, dynamic or yarn with a factor of 1 or more, as in yarn:4, or a JSON object with rope_type, for longrope and llama3 too", scaling)
	}
	given := map[string]jsontext.Value{"rope_type": jsontext.Value(strconv.Quote(name)), "factor": jsontext.Value(text)}
	return func(config []byte) ([]byte, error) { return scaleRoPE(config, given, factor) }, nil
}

// scaleRoPE replaces the scaling in a config.json, of a nested language model if there is one, and
// makes its context longer.
func scaleRoPE(config []byte, given map[string]jsontext.Value, stretch float64) ([]byte, error) {
	var top map[string]jsontext.Value
	if err := json.Unmarshal(config, &top); err != nil {
		return nil, err
	}
	if nested, ok := top["text_config"]; ok {
		inner, err := scaleRoPE(nested, given, stretch)
		if err != nil {
			return nil, err
		}
		top["text_config"] = inner
		return json.Marshal(top, json.Deterministic(true))
	}
	scaling := maps.Clone(given)
	var params map[string]jsontext.Value
	if old, ok := top["rope_parameters"]; ok && string(old) != "null" {
		if err := json.Unmarshal(old, &params); err != nil {
			return nil, fmt.Errorf("rope_parameters: %w", err)
		}
	}
	for name, v := range params {
		if v.Kind() == '{' {
			return nil, fmt.Errorf("rope_parameters.%s: a model with several rotations cannot be given another scaling", name)
		}
	}
	for _, name := range []string{"rope_theta", "partial_rotary_factor"} {
		if v, ok := params[name]; ok && scaling[name] == nil {
			scaling[name] = v
		}
	}
	if err := lengthen(top, scaling, stretch); err != nil {
		return nil, err
	}
	text, err := json.Marshal(scaling, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	delete(top, "rope_parameters")
	delete(top, "rope_scaling")
	if params != nil {
		top["rope_parameters"] = text
	} else {
		top["rope_scaling"] = text
	}
	return json.Marshal(top, json.Deterministic(true))
}

// lengthen multiplies max_position_embeddings and says what it was.
func lengthen(top, scaling map[string]jsontext.Value, stretch float64) error {
	const key, was = "max_position_embeddings", "original_max_position_embeddings"
	v, ok := top[key]
	if !ok || stretch == 1 {
		return nil
	}
	var n int
	if err := json.Unmarshal(v, &n); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	top[key] = jsontext.Value(strconv.Itoa(int(float64(n) * stretch)))
	if scaling[was] == nil && string(scaling["rope_type"]) != `"linear"` {
		scaling[was] = v
	}
	return nil
}
