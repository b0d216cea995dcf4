package server

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// sampling is what of a request says how tokens are chosen.
type sampling struct {
	Temperature      *float32        `json:"temperature"`
	TopP             *float32        `json:"top_p"`
	TopK             *whole          `json:"top_k"`
	MinP             *float32        `json:"min_p"`
	TypicalP         *float32        `json:"typical_p"`
	RepeatPenalty    *float32        `json:"repeat_penalty"`
	Repetition       *float32        `json:"repetition_penalty"` // the same, as vLLM names it
	IgnoreEOS        bool            `json:"ignore_eos"`         // a text only ends at its limits
	RepeatLast       *whole          `json:"repeat_last_n"`
	PresencePenalty  *float32        `json:"presence_penalty"`
	FrequencyPenalty *float32        `json:"frequency_penalty"`
	LogitBias        json.RawMessage `json:"logit_bias"`
	XTCProbability   *float32        `json:"xtc_probability"`
	XTCThreshold     *float32        `json:"xtc_threshold"`
	DynamicRange     *float32        `json:"dynatemp_range"`
	DynamicExponent  *float32        `json:"dynatemp_exponent"`
	DRYMultiplier    *float32        `json:"dry_multiplier"`
	DRYBase          *float32        `json:"dry_base"`
	DRYAllowedLength *whole          `json:"dry_allowed_length"`
	DRYLast          *whole          `json:"dry_penalty_last_n"`
	DRYBreakers      []string        `json:"dry_sequence_breakers"`
	Seed             *whole          `json:"seed"`
}

// What stands for fields that are absent.
const (
	defaultTemperature = .8
	defaultTopK        = 40
	defaultTopP        = .95
)

// read returns what the fields say, for a model.
func (q *sampling) read(m *llm.Model) (o llm.Sampling, err error) {
	o = llm.Sampling{
		Temperature: or(q.Temperature, defaultTemperature), TopK: int(or(q.TopK, defaultTopK)), TopP: new(or(q.TopP, defaultTopP)),
		MinP: or(q.MinP, 0), TypicalP: or(q.TypicalP, 0),
		RepeatPenalty: or(q.RepeatPenalty, or(q.Repetition, 0)), RepeatLast: int(or(q.RepeatLast, 0)),
		PresencePenalty: or(q.PresencePenalty, 0), FrequencyPenalty: or(q.FrequencyPenalty, 0),
		XTCProbability: or(q.XTCProbability, 0), XTCThreshold: or(q.XTCThreshold, 0),
		DynamicRange: or(q.DynamicRange, 0), DynamicExponent: or(q.DynamicExponent, 0),
		DRYMultiplier: or(q.DRYMultiplier, 0), DRYBase: or(q.DRYBase, 0), DRYAllowedLength: int(or(q.DRYAllowedLength, 0)),
		DRYLast: int(or(q.DRYLast, 0)), DRYBreakers: q.DRYBreakers,
		Seed: seed(q.Seed),
	}
	if o.TopK == -1 { // what other servers take for off
		o.TopK = 0
	}
	if o.LogitBias, err = q.biases(m.VocabSize()); err != nil {
		return o, err
	}
	if q.IgnoreEOS {
		if o.LogitBias == nil {
			o.LogitBias = map[int32]float32{}
		}
		for _, id := range m.Vocabulary().EOS {
			o.LogitBias[int32(id)] = float32(math.Inf(-1))
		}
	}
	return o, nil
}

// biases reads logit_bias: tokens by number.
func (q *sampling) biases(vocab int) (map[int32]float32, error) {
	if isNothing(q.LogitBias) {
		return nil, nil
	}
	var given map[string]float32
	if json.Unmarshal(q.LogitBias, &given) != nil {
		return nil, bad("logit_bias", "logit_bias: want an object of numbers, by the numbers of tokens")
	}
	biases := map[int32]float32{}
	for name, v := range given {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || id < 0 || int(id) >= vocab {
			return nil, bad("logit_bias", "logit_bias: %q is not the number of one of the model's %d tokens", name, vocab)
		}
		biases[int32(id)] = v
	}
	return biases, nil
}
