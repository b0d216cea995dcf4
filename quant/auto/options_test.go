package auto

import (
	"errors"
	"testing"
)

// Mistakes that are some for every checkpoint are found without one, and named.
func TestCheck(t *testing.T) {
	for want, o := range map[string]Options{
		"": {Policy: Policy{Format: "int4"}},
		`format "": want int8, int4 or int2, or f16 to keep the values`:     {},
		`format "int3": want int8, int4 or int2, or f16 to keep the values`: {Policy: Policy{Format: "int3"}},
		"bits: needs the method gptq":                                       {Policy: Policy{Bits: 3}},
		"bits -1: want more than 0":                                         {Policy: Policy{Format: "int4", Bits: -1}},
		"sensitivity: is of use with bits only":                             {Policy: Policy{Format: "int4"}, Calibration: Calibration{Sensitivity: "file"}},
		"device npu: want gpu or cpu":                                       {Policy: Policy{Format: "int4"}, Calibration: Calibration{Device: "npu"}},
		"max-shard-size big: want a size such as 2GB, 100MB or 1GiB":        {Policy: Policy{Format: "int4", MaxShardSize: "big"}},
		"keep-f16: error parsing regexp: missing closing ): `(`":            {Policy: Policy{Format: "int4", KeepF16: []string{"("}}},
		"override: error parsing regexp: missing closing ): `(`":            {Policy: Policy{Format: "int4", Overrides: []Override{{Match: "("}}}},
		`override "down": format "int5": want int8, int4, int2 or f16`:      {Policy: Policy{Format: "int4", Overrides: []Override{{Match: "down", Format: "int5"}}}},
	} {
		err := o.Check()
		var wrong *OptionError
		switch {
		case want == "" && err != nil:
			t.Errorf("%+v: %v", o.Policy, err)
		case want != "" && (err == nil || err.Error() != want || !errors.As(err, &wrong)):
			t.Errorf("%+v: got %v, want an OptionError: %s", o.Policy, err, want)
		}
	}
}

// What Bits leaves open is filled in.
func TestWithDefaults(t *testing.T) {
	for want, p := range map[chosen]Policy{
		{"int4", "search", ""}:   {Format: "int4"},
		{"int2", "gptq", "int8"}: {Bits: 2.9, Method: "gptq"},
		{"int4", "gptq", "f16"}:  {Bits: 4.5, Method: "gptq", EmbedFormat: "f16"},
	} {
		if got := p.WithDefaults(); got.Format != want.format || got.Method != want.method || got.EmbedFormat != want.embed {
			t.Errorf("%+v: got %+v, want %+v", p, got, want)
		}
	}
}

// chosen is the part of a Policy that is filled in.
type chosen struct{ format, method, embed string }

// A budget of bits cannot be previewed: what it chooses is measured.
func TestLookBits(t *testing.T) {
	_, err := Look(t.Context(), "../../testdata/tiny", 0, Options{Policy: Policy{Bits: 3, Method: "gptq"}})
	var wrong *OptionError
	if !errors.As(err, &wrong) || wrong.Option != "bits" {
		t.Errorf("error is %v", err)
	}
}
