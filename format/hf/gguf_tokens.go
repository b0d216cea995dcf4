package hf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/vocab"
)

const ggufTokenPrefix = "tokenizer.ggml."

// tokenID reads the id of a special token, NoToken if there is none in the vocabulary.
func (m *ggufModel) tokenID(name string) int {
	id, ok, err := m.Int(ggufTokenPrefix + name + "_token_id")
	m.keep(err)
	if !ok || id < 0 || id >= m.vocabSize() {
		return NoToken
	}
	return id
}

// vocabSize is how many tokens the embedding has.
func (m *ggufModel) vocabSize() int {
	if t, ok := m.tensors["token_embd.weight"]; ok && len(t.Shape) > 0 {
		return t.Shape[0]
	}
	return 0
}

// turnEnds are the tokens that end an answer in well-known chat templates. Older files have no eot_token_id.
var turnEnds = []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|end_of_turn|>", "<|eot|>", "<|eom_id|>"}

// ends lists the tokens at which text ends: the end of a text, of a turn, of a message. A token that ends turns in the
// chat template ends text as well.
func (m *ggufModel) ends() (ids []int) {
	add := func(id int) {
		if id != NoToken && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, name := range []string{"eos", "eot", "eom"} {
		add(m.tokenID(name))
	}
	if m.Has(ggufTokenPrefix + "eot_token_id") {
		return ids
	}
	text := m.str("tokenizer.chat_template")
	tokens, _, err := m.Strings(ggufTokenPrefix + "tokens")
	m.keep(err)
	for _, end := range turnEnds {
		if id := slices.Index(tokens, end); id >= 0 && id < m.vocabSize() && strings.Contains(text, end) {
			add(id)
		}
	}
	return ids
}

// tokenIDs puts the special tokens into a configuration.
func (m *ggufModel) tokenIDs(c settings) {
	if id := m.tokenID("bos"); id != NoToken {
		c["bos_token_id"] = id
	}
	switch ids := m.ends(); len(ids) {
	case 0:
	case 1:
		c["eos_token_id"] = ids[0]
	default:
		c["eos_token_id"] = ids
	}
	if id := m.tokenID("padding"); id != NoToken {
		c["pad_token_id"] = id
	}
}

// tokens returns the special tokens.
func (m *ggufModel) tokens() (Tokens, error) {
	return Tokens{BOS: m.tokenID("bos"), EOS: m.ends(), Pad: m.tokenID("padding")}, m.err
}

// ggufTokens are the names in metadata of the tokens that chat templates know by name.
var ggufTokens = map[string]string{
	"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "separator": "sep_token", "padding": "pad_token", "cls": "cls_token", "mask": "mask_token",
}

// special returns the texts of special tokens by name, nil if there is no vocabulary.
func (m *ggufModel) special() map[string]string {
	tokens, ok, err := m.Strings(ggufTokenPrefix + "tokens")
	m.keep(err)
	if !ok {
		return nil
	}
	special := map[string]string{}
	for key, name := range ggufTokens {
		if id := m.tokenID(key); id != NoToken && id < len(tokens) {
			special[name] = tokens[id]
		}
	}
	return special
}

// templates returns the chat templates.
func (m *ggufModel) templates() (list []namedTemplate, err error) {
	const key = "tokenizer.chat_template"
	if text := m.str(key); text != "" {
		list = append(list, namedTemplate{defaultTemplate, text})
	}
	for _, k := range m.Keys {
		if name, ok := strings.CutPrefix(k, key+"."); ok && (name != defaultTemplate || list == nil) {
			list = append(list, namedTemplate{name, m.str(k)})
		}
	}
	return list, m.err
}

// tokenizer makes a tokenizer.json of what the metadata say.
func (m *ggufModel) tokenizer() (text []byte, made string, err error) {
	if m.str(ggufTokenPrefix+"model") == "" {
		return nil, "", nil
	}
	text, notes, err := vocab.FromGGUF(m.File)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", m.path, err)
	}
	return text, strings.Join(append([]string{"from the vocabulary of the GGUF file"}, notes...), "; "), nil
}
