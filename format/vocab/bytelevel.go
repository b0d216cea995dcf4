package vocab

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// byteClasses are the classes of tokenizers that read vocab.json and merges.txt.
var byteClasses = map[string]func(s *settings, prefix bool) (*Tokenizer, profile){
	"GPT2Tokenizer":    gpt2,
	"CodeGenTokenizer": codeGen,
	"GPTNeoXTokenizer": gptNeoX,
	"Qwen2Tokenizer":   qwen2,
	"Qwen3_5Tokenizer": qwen35,
	"CohereTokenizer":  cohere,
}

const endOfText = "<|endoftext|>"

func gpt2(_ *settings, prefix bool) (*Tokenizer, profile) {
	return &Tokenizer{PreTokenizer: ByteLevel(prefix, true, true), Decoder: ByteLevel(true, true, true)},
		profile{named: map[string]string{"unk_token": endOfText, "bos_token": endOfText, "eos_token": endOfText}}
}

func codeGen(s *settings, prefix bool) (*Tokenizer, profile) {
	t, p := gpt2(s, prefix)
	p.otherwise = ByteLevel(true, false, true)
	return t, p
}

func gptNeoX(s *settings, prefix bool) (*Tokenizer, profile) {
	t, p := gpt2(s, prefix)
	t.Normalizer, t.PreTokenizer = NFC(), ByteLevel(prefix, s.bool("trim_offsets", true, false), true)
	p.named["pad_token"] = "<|padding|>"
	return t, p
}

func qwen2(_ *settings, prefix bool) (*Tokenizer, profile) { return qwen(regexQwen2, prefix) }

func qwen35(_ *settings, prefix bool) (*Tokenizer, profile) { return qwen(regexQwen35, prefix) }

func qwen(pattern string, prefix bool) (*Tokenizer, profile) {
	return &Tokenizer{
		Normalizer:   NFC(),
		PreTokenizer: PreTokenizers(Split(Regex(pattern)), ByteLevel(prefix, true, false)),
		Decoder:      ByteLevel(true, true, true),
	}, profile{named: map[string]string{"unk_token": endOfText, "eos_token": endOfText, "pad_token": endOfText}}
}

func cohere(_ *settings, prefix bool) (*Tokenizer, profile) {
	t := &Tokenizer{
		Normalizer:   NFC(),
		PreTokenizer: PreTokenizers(Digits(true), ByteLevel(prefix, true, true)),
		Decoder:      ByteLevel(true, true, true),
	}
	return t, profile{named: map[string]string{
		"unk_token": "<UNK>", "bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>", "pad_token": "<PAD>", "cls_token": "<CLS>",
		"sep_token": "<SEP>", "mask_token": "<MASK_TOKEN>",
	}}
}

// convertByteLevel builds the tokenizer of a vocab.json and a merges.txt.
func convertByteLevel(vocab, merges []byte, s *settings, class string) (*Tokenizer, error) {
	model, ids, err := parseVocab(vocab)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vocabName, err)
	}
	if model.Merges, err = parseMerges(merges, ids); err != nil {
		return nil, fmt.Errorf("%s: %w", mergesName, err)
	}
	t, p := byteClasses[class](s, s.bool("add_prefix_space", false, false))
	t.Model = model
	s.finish(t, newAdder(ids), p)
	return t, nil
}

// parseVocab reads an object of tokens and their ids.
func parseVocab(data []byte) (*BPE, map[string]int, error) {
	ids := map[string]int{}
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, nil, err
	}
	if len(ids) == 0 {
		return nil, nil, errors.New("has no tokens")
	}
	m := &BPE{}
	for token, id := range ids {
		if id < 0 || id >= maxPieces {
			return nil, nil, fmt.Errorf("token %q has id %d", token, id)
		}
		for len(m.Vocab) <= id {
			m.Vocab = append(m.Vocab, "")
		}
		if token == "" {
			delete(ids, token)
			continue
		}
		if was := m.Vocab[id]; was != "" {
			return nil, nil, fmt.Errorf("%q and %q both have id %d", min(was, token), max(was, token), id)
		}
		m.Vocab[id] = token
	}
	return m, ids, nil
}

// parseMerges reads a line of two tokens for each merge; lines that begin with #version are none.
func parseMerges(data []byte, ids map[string]int) (merges [][2]string, err error) {
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return nil, fmt.Errorf("line %d: %q: want two tokens with a space between", number, line)
		}
		for _, token := range []string{left, right, left + right} {
			if _, ok := ids[token]; !ok {
				return nil, fmt.Errorf("line %d: %q is not in %s", number, token, vocabName)
			}
		}
		merges = append(merges, [2]string{left, right})
	}
	return merges, nil
}
