//go:build !js

package bundle

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Marshal returns the manifest as it is stored: zero fields of the spec vanish, members are in order.
func (m *Manifest) Marshal() ([]byte, error) {
	data, err := json.Marshal(m, jsonv1.OmitEmptyWithLegacySemantics(true), json.Deterministic(true), jsontext.WithIndent(" "))
	return append(data, '\n'), err
}
