package bundle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

type damage struct {
	name string
	do   func(f *broken)
	want string // in the error
}

// broken is a bundle about to be damaged.
type broken struct {
	files map[string][]byte
	t     *testing.T
}

// edit replaces text in the manifest once.
func edit(old, new string) func(*broken) {
	return func(b *broken) {
		data := bytes.Replace(b.files["manifest.json"], []byte(old), []byte(new), 1)
		if bytes.Equal(data, b.files["manifest.json"]) {
			b.t.Fatalf("the manifest has no %s", old)
		}
		b.files["manifest.json"] = data
	}
}

// set changes a member of tensor i in the manifest; nil removes it.
func set(i int, key string, value any) func(*broken) {
	return tensors(func(list []any) []any {
		m := list[i].(map[string]any)
		m[key] = value
		if value == nil {
			delete(m, key)
		}
		return list
	})
}

// tensors changes the list of tensors.
func tensors(do func(list []any) []any) func(*broken) {
	return func(b *broken) {
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(b.files["manifest.json"]))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			b.t.Fatal(err)
		}
		m["tensors"] = do(m["tensors"].([]any))
		data, err := json.Marshal(m)
		if err != nil {
			b.t.Fatal(err)
		}
		b.files["manifest.json"] = data
	}
}

// poke changes bytes of the blob.
func poke(at int, p ...byte) func(*broken) {
	return func(b *broken) { copy(b.files["model.wgpu"][at:], p) }
}

// rehash makes the manifest's SHA-256 of tensor i right after do, so that what is wrong shows by
// itself.
func rehash(i int, do func(b *broken, t *bundle.Tensor)) func(*broken) {
	return func(b *broken) {
		m, err := bundle.ParseManifest(b.files["manifest.json"])
		if err != nil {
			b.t.Fatal(err)
		}
		t := &m.Tensors[i]
		do(b, t)
		set(i, "sha256", sha(b.files["model.wgpu"][t.Offset:t.Offset+t.Length]))(b)
	}
}

func remove(name string) func(*broken) { return func(b *broken) { delete(b.files, name) } }

func cut(name string, n int) func(*broken) {
	return func(b *broken) { b.files[name] = b.files[name][:len(b.files[name])-n] }
}

// The fake model in int4/128: tensor 0 is the embedding, [37][40], 67 bytes a row, one block;
// tensor 1 is a norm, 2 is q of layer 0, 16 is the router of layer 1, 17 the experts' gates.
var damages = []damage{
	{"no blob", remove("model.wgpu"), "model.wgpu"},
	{"no manifest", remove("manifest.json"), "manifest.json"},
	{"no vocab", remove("vocab.json"), "vocab.json"},
	{"empty blob", func(b *broken) { b.files["model.wgpu"] = nil }, "the header alone has 256"},
	{"blob short of one byte", cut("model.wgpu", 1), "the manifest says"},
	{"blob short of a page", cut("model.wgpu", 4096), "the manifest says"},
	{"blob too long", func(b *broken) { b.files["model.wgpu"] = append(b.files["model.wgpu"], 0) }, "the manifest says"},
	{"magic", poke(0, 'X'), "starts with"},
	{"line ends changed", poke(6, '\n', '\n'), "starts with"},
	{"blob version", poke(8, 2), "version 2"},
	{"header size", poke(12, 1), "header size is 257"},
	{"blob of another bundle", poke(16, 0xde, 0xad), "bundle id dead"},
	{"file size in header", poke(32, 1), "file size"},
	{"number of the file in header", poke(40, 1), "file number 1"},
	{"reserved header bytes", poke(200, 7), "bytes 44 to 255"},

	{"vocab cut", cut("vocab.json", 1), "vocab.json: damaged bundle: the file has 11 bytes"},
	{"vocab changed", func(b *broken) { b.files["vocab.json"][3] ^= 1 }, "vocab.json: damaged bundle: sha256"},

	{"manifest empty", func(b *broken) { b.files["manifest.json"] = nil }, "the end of the text"},
	{"manifest cut", cut("manifest.json", 20), "the end of the text"},
	{"manifest with a tail", func(b *broken) { b.files["manifest.json"] = append(b.files["manifest.json"], '{') }, "there is more behind the value"},
	{"manifest not JSON", edit("{", "["), "manifest.json"},
	{"unknown key", edit(`"generator"`, `"x":1,"generator"`), `"x"`},
	{"unknown key in a tensor", set(2, "colour", "red"), "colour"},
	{"duplicate key", edit(`"generator"`, `"id":"","generator"`), "duplicate"},
	{"key of other case", edit(`"generator"`, `"Generator"`), "Generator"},
	{"wrong JSON type", set(2, "offset", "256"), "offset"},
	{"fraction", set(2, "offset", 256.5), "offset"},
	{"number out of range", set(2, "length", json.Number("99999999999999999999")), "length"},
	{"future version", edit(`"format_version": 1`, `"format_version": 2`), "version: 2"},
	{"no version", edit(`"format_version": 1,`, ``), "version: 0"},
	{"id changed", edit(`"id": "`, `"id": "0`), "id is"},
	{"generator changed", edit(`"generator": "`, `"generator": "x`), "id is"},
	{"source hash changed", edit(`"files": [
   {
    "name": "model.safetensors"`, `"files": [
   {
    "name": "other.safetensors"`), "id is"},
	{"document of another name", edit(`"config.json":`, `"../config.json":`), `"../config.json"`},
	{"file of a tensor", set(2, "file", 1), `tensor "model.0.q": file is 1`},
	{"file of a tensor negative", set(2, "file", -1), `tensor "model.0.q": file is -1`},
	{"file too many", edit(`"files": [
  {
   "name": "model.wgpu",`, `"files": [
  {
   "name": "model-00002-of-00002.wgpu", "size": 512
  },
  {
   "name": "model.wgpu",`), "number 1 of 2: want model-00001-of-00002.wgpu"},
	{"source hash malformed", edit(`"size": 7,
    "sha256": "`, `"size": 7,
    "sha256": "z`), `source file "model.safetensors"`},
	{"quantization changed", edit(`"method": "search"`, `"method": "rtn"`), "id is"},
	{"quantization format", edit(`"format": "int4"`, `"format": "int5"`), `format "int5"`},
	{"spec constant changed", edit(`"eps": 0.00001`, `"eps": 0.0001`), "id is"},
	{"spec vocab", edit(`"vocab": 37`, `"vocab": 38`), `tensor "model.-1.embed": shape is [37 40]: the spec wants [38 40]`},
	{"spec hidden huge", edit(`"hidden": 40`, `"hidden": 4611686018427387904`), "hidden is"},
	{"spec without vocab", edit(`"vocab": 37`, `"vocab": 0`), "vocab is 0"},
	{"spec layer kind", edit("0,\n   1\n  ]\n }", "0,\n   9\n  ]\n }"), "layer 1 is of kind 9"},
	{"spec heads", edit(`"kv_heads": 2`, `"kv_heads": 3`), "no multiple"},
	{"spec heads zero", edit(`"kv_heads": 2`, `"kv_heads": 0`), "kv_heads is 0"},
	{"spec rope index", edit(`"rope": 0`, `"rope": 1`), "rope is 1"},
	{"spec rope dim", edit(`"dim": 10`, `"dim": 12`), "dim is 12"},
	{"spec norm", edit(`"kind": "rms"`, `"kind": "rsm"`), "norm kind"},
	{"spec experts", edit(`"top_k": 2`, `"top_k": 4`), "top_k is 4"},
	{"bos", edit(`"bos": 1`, `"bos": -37`), "bos is -37"},
	{"bos beyond", edit(`"bos": 1`, `"bos": 1000000`), "bos is 1000000: want a token of 0 to"},
	{"eos beyond", edit("2,\n   3\n", "2,\n   1000000\n"), "eos is 1000000: want a token of 0 to"},
	{"eos", edit("2,\n   3\n", "2,\n   -3\n"), "eos is -3"},

	{"tensor missing", tensors(func(l []any) []any { return append(l[:5], l[6:]...) }), `"model.0.mlp_norm"`},
	{"last tensor missing", tensors(func(l []any) []any { return l[:len(l)-1] }), "the head of layer -1 is missing"},
	{"all tensors missing", tensors(func(l []any) []any { return l[:0] }), "the embed of layer -1 is missing"},
	{"tensor too many", tensors(func(l []any) []any { return append(l, map[string]any{"name": "extra"}) }), `"extra"`},
	{"tensors exchanged", tensors(func(l []any) []any { l[3], l[4] = l[4], l[3]; return l }), `"model.0.v": role is "v": the spec wants "k"`},
	{"name twice", set(3, "name", "model.0.q"), `"model.0.q": number 2 and number 3`},
	{"name empty", set(3, "name", ""), "no name"},
	{"role", set(2, "role", "k"), `"model.0.q": role`},
	{"layer", set(2, "layer", 1), "layer is 1"},
	{"layer missing", set(0, "layer", nil), "layer is 0"},
	{"shape", set(2, "shape", []int{40, 41}), "shape is [40 41]"},
	{"shape empty", set(2, "shape", []int{}), "shape is []"},
	{"shape of experts flattened", set(17, "shape", []int{99, 40}), "shape is [99 40]"},
	{"type unknown", set(2, "type", "int3"), `type "int3"`},
	{"type changed", set(2, "type", "int8"), "length is"},
	{"type f32 for a matrix", set(2, "type", "f32"), "type f32"},
	{"norm quantized", set(1, "type", "int8"), "attn_norm is f16 or f32"},
	{"router quantized", set(16, "type", "int8"), "router is f16 or f32"},
	{"block size that does not fit", set(2, "block", 256), `"model.0.q": length is 2680: [40 40] as int4 with block 256 takes 5240 bytes`},
	{"block size that is none", set(2, "block", 100), "block size 100"},
	{"block size missing", set(2, "block", nil), "block size 0"},
	{"block size of a norm", set(1, "block", 32), "f32 has no blocks"},
	{"method missing", set(2, "method", nil), "no method"},
	{"length", set(2, "length", 2681), "length is 2681"},
	{"offset unaligned", set(2, "offset", 3072+1), "no multiple of 256"},
	{"offset overlapping", set(2, "offset", 256), "overlaps"},
	{"offset with a gap", set(2, "offset", 1<<20), "gap"},
	{"offset negative", set(2, "offset", -256), "overlaps"},
	{"offset near the end of numbers", set(2, "offset", int64(1)<<62), "gap"},
	{"hash malformed", set(2, "sha256", "abc"), "want 64 hex digits"},
	{"error negative", set(2, "error", -1), "negative"},
	{"file list", edit(`"name": "model.wgpu"`, `"name": "model.bin"`), "files"},
	{"file size", edit("\"name\": \"model.wgpu\",\n   \"size\": ", "\"name\": \"model.wgpu\",\n   \"size\": 1"), "its tensors end at"},

	{"hash of another tensor", set(2, "sha256", strings.Repeat("0", 64)), `"model.0.q": damaged bundle: sha256`},
	{"one bit of a code", poke(256+67*5+20, 0xff), `"model.-1.embed": damaged bundle: sha256`},
	{"scale NaN", rehash(0, func(b *broken, t *bundle.Tensor) { scale(b, t, 7, 0, 0x7e00) }), `"model.-1.embed": damaged bundle: row 7: block 0: scale is NaN`},
	{"scale infinite", rehash(2, func(b *broken, t *bundle.Tensor) { scale(b, t, 39, 0, 0x7c00) }), `"model.0.q": damaged bundle: row 39: block 0: scale is +Inf`},
	{"scale negative", rehash(17, func(b *broken, t *bundle.Tensor) { scale(b, t, 98, 0, 0xbc00) }), `"model.1.gate": damaged bundle: row 98: block 0: scale is -1`},
	{"norm NaN", rehash(1, func(b *broken, t *bundle.Tensor) {
		binary.LittleEndian.PutUint32(b.files["model.wgpu"][t.Offset+4*3:], 0x7fc00000)
	}), `"model.0.attn_norm": damaged bundle: row 0, column 3: NaN`},
	{"padding", func(b *broken) { poke(256+37*67, 1)(b) }, `"model.-1.embed": damaged bundle: the padding after it is 0x01 at byte 2735`},
}

func scale(b *broken, t *bundle.Tensor, row, block int, bits uint16) {
	at := t.Offset + int64(row*t.RowBytes()+block*t.Scheme().BlockBytes())
	binary.LittleEndian.PutUint16(b.files["model.wgpu"][at:], bits)
}

func TestDamage(t *testing.T) {
	whole := files(t, formatInt4)
	if err := verify(t, whole); err != nil {
		t.Fatalf("before any damage: %v", err)
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			b := &broken{files: map[string][]byte{}, t: t}
			for name, data := range maps.All(whole) {
				b.files[name] = bytes.Clone(data)
			}
			d.do(b)
			err := verify(t, b.files)
			if err == nil || !strings.Contains(err.Error(), d.want) {
				t.Errorf("error is %v\nwant one with %s", err, d.want)
			}
		})
	}
}

// What is no file is told apart before anything waits for it.
func TestNotAFile(t *testing.T) {
	for _, name := range []string{"manifest.json", "model.wgpu", "vocab.json"} {
		dir := store(t, files(t, formatInt4))
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(dir)
		if err == nil {
			b.Close()
		}
		if !errors.Is(err, bundle.ErrCorrupt) || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// verify opens the files and checks everything.
func verify(t *testing.T, files map[string][]byte) error {
	b, err := bundle.Open(store(t, files))
	if err != nil {
		return err
	}
	return errors.Join(b.Check(context.Background(), nil), b.Close())
}

func FuzzManifest(f *testing.F) {
	whole := files(f, formatInt4)
	f.Add(whole["manifest.json"])
	for _, d := range damages {
		b := &broken{files: map[string][]byte{}}
		for name, data := range maps.All(whole) {
			b.files[name] = bytes.Clone(data)
		}
		d.do(b)
		f.Add(b.files["manifest.json"])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := bundle.ParseManifest(data)
		if err != nil {
			return
		}
		once, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := bundle.ParseManifest(once)
		if err != nil && !strings.Contains(err.Error(), "id is") { // spelled-out zeros count for the id
			t.Fatalf("written, it does not parse: %v", err)
		}
		if err != nil {
			return
		}
		if twice, err := again.Marshal(); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("written twice, it differs: %v\n%s\n%s", err, once, twice)
		}
	})
}

// FuzzBlob damages the blob at will: no panic, and no damage unseen.
func FuzzBlob(f *testing.F) {
	whole := files(f, formatInt4)
	blob := whole["model.wgpu"]
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(256), []byte{0xff, 0xff})
	f.Add(uint32(len(blob)-1), []byte{1, 2})
	f.Fuzz(func(t *testing.T, at uint32, p []byte) {
		data := bytes.Clone(blob)
		if at < uint32(len(data)) {
			data = append(data[:at], append(p, data[min(len(data), int(at)+len(p)):]...)...)
		}
		b, err := bundle.New(whole["manifest.json"], bytes.NewReader(data), int64(len(data)))
		if err == nil {
			err = b.Check(context.Background(), nil)
		}
		if same := bytes.Equal(data, blob); same != (err == nil) {
			t.Fatalf("same bytes: %v, error: %v", same, err)
		}
	})
}
