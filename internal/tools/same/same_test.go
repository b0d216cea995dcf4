package main

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorded returns a recording of logits as compare writes one.
func recorded(values ...float32) []byte {
	data := append([]byte("LWGLOGIT"), make([]byte, 248)...)
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

func TestDiffers(t *testing.T) {
	renamed := recorded(1, 2)
	renamed[30] = 7 // in the header: another name of the model
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		read      func([]byte) (content, error)
		base, now string
		want      string
	}{
		"the same bytes":      {whole, "abc", "abc", ""},
		"a byte":              {whole, "abcd", "abxy", "2 of 4 bytes, the first at 2"},
		"a length":            {whole, "abc", "abcd", "3 bytes, 4 now"},
		"a key":               {whole, `{"a":{"b":[1,2]}}`, `{"a":{"b":[1,3]}}`, "1 of 2 values, the first .a.b[1]: 2, 3 now"},
		"a new key":           {whole, `{"a":1}`, `{"a":1,"b":2}`, "the first .b: nothing, 2 now"},
		"space":               {whole, `{"a":1}`, `{"a": 1}`, "7 bytes, 8 now"},
		"the same logits":     {recording, string(recorded(1, nan)), string(recorded(1, nan)), ""},
		"another name":        {recording, string(recorded(1, 2)), string(renamed), ""},
		"a logit":             {recording, string(recorded(1, 2)), string(recorded(1, 2.5)), "1 of 2 logits, by at most 0.5"},
		"the sign of zero":    {recording, string(recorded(0)), string(recorded(float32(math.Copysign(0, -1)))), "1 of 1 logits, by at most 0"},
		"fewer logits":        {recording, string(recorded(1, 2)), string(recorded(1)), "2 logits, 1 now"},
		"words of a report":   {numbers, `{"runtime":{"name":"a","max":1}}`, `{"runtime":{"name":"b","max":1},"x":3}`, ""},
		"a digit of a report": {numbers, `{"drift":{"kld":0.10000000000000001}}`, `{"drift":{"kld":0.10000000000000002}}`, "the first .drift.kld"},
	} {
		a, errA := c.read([]byte(c.base))
		b, errB := c.read([]byte(c.now))
		if err := errors.Join(errA, errB); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := a.differs(b); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestEmpty refuses what has nothing to compare.
func TestEmpty(t *testing.T) {
	if _, err := recording(recorded()); err == nil {
		t.Error("a recording without logits was read")
	}
	if _, err := numbers([]byte(`{"runtime": {"name": "x"}, "environment": {"n": 1}}`)); err == nil {
		t.Error("a report without figures was read")
	}
}

// TestCompare runs jobs of two shell scripts that stand for the programs.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	var sides [2]side
	for i, script := range []string{
		"#!/bin/sh\nmkdir -p out; echo same >out/a; echo old >out/b; echo $1; echo ran >>../../../ran",
		"#!/bin/sh\nmkdir -p out; echo same >out/a; echo new >out/b; echo more >out/c; echo $1; exit $2",
	} {
		sides[i] = side{program: filepath.Join(dir, "program"+string(rune('0'+i))), dir: filepath.Join(dir, "side"+string(rune('0'+i)))}
		if err := os.WriteFile(sides[i].program, []byte(script), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	sides[0].key = "kept"
	makes := []made{{bundles, "out", whole}, {texts, "text", whole}}
	jobs := []job{
		{"group/differs", []step{{args: []string{"a", "3"}, stdout: "text", codes: []int{3}, makes: makes}}},
		{"group/fails", []step{{args: []string{"a", "1"}, stdout: "text", makes: makes}}},
	}
	for range 2 {
		text, n, err := table(jobs, work(t.Context(), jobs, sides, 2))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"group/fails                    fails", "group/differs/out/b: 3 of 4 bytes, the first at 0",
			"group/differs/out/c: is only there now", "group/fails: fails now: llama-webgpu a 1: exit status 1",
			"group/differs                       1 of 3           –           –           1",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the table does not have %q:\n%s", want, text)
			}
		}
		if n != 3 {
			t.Errorf("%d differ, want 3:\n%s", n, text)
		}
	}
	if ran, err := os.ReadFile(filepath.Join(dir, "ran")); err != nil || string(ran) != "ran\nran\n" {
		t.Errorf("the base ran %q, %v: want each job once", ran, err)
	}
	sides[0].program = sides[1].program
	sides[0].key = ""
	if _, _, err := table(jobs, work(t.Context(), jobs, sides, 1)); err == nil || !strings.Contains(err.Error(), "group/fails: base: ") {
		t.Errorf("%v, want that the base fails", err)
	}
}
