package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestKeptBound keeps more responses than there is room for, by number and by bytes: the oldest go.
func TestKeptBound(t *testing.T) {
	var k kept
	add := func(id string, size int) {
		k.add(&responseJSON{ID: id, Output: []*outputItem{{ID: "of " + id}}}, []json.RawMessage{json.RawMessage(strings.Repeat("x", size)), json.RawMessage(id)})
	}
	for i := range mostKept + 5 {
		add(fmt.Sprint(i), 10)
	}
	if k.find("4") != nil || k.find("5") == nil || len(k.list) != mostKept || string(k.item("of 7")) != "7" || k.item("of 4") != nil {
		t.Errorf("%d are kept", len(k.list))
	}
	for i := range 5 {
		add(fmt.Sprint("large ", i), mostKeptBytes/4)
	}
	if k.bytes > mostKeptBytes || len(k.list) != 3 || k.find("large 4") == nil {
		t.Errorf("%d are kept, %d bytes", len(k.list), k.bytes)
	}
	if !k.remove("large 4") || k.remove("large 4") || len(k.list) != 2 {
		t.Errorf("%d are kept after one was removed", len(k.list))
	}
	for len(k.list) > 0 {
		k.remove(k.list[0].response.ID)
	}
	if k.bytes != 0 {
		t.Errorf("%d bytes are counted, of nothing", k.bytes)
	}
}
