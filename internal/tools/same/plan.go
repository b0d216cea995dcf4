package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// job is a model and what the program is asked to make of it, one command after the other, in a directory of
// its own.
type job struct {
	name  string
	steps []step
}

// step is one command of the program.
type step struct {
	args   []string // paths of what it makes are relative to the job's directory
	stdout string   // file to keep what it prints in; empty: nowhere
	codes  []int    // exit codes beside 0 that are an answer, too
	makes  []made
}

// made is a file, or a directory of files, that both sides must make alike.
type made struct {
	kind string // column of the table
	path string
	read func([]byte) (content, error) // what of it must be the same
}

// The columns of the table.
const (
	bundles = "bundles"
	logits  = "logits"
	figures = "figures"
	texts   = "texts"
)

var kinds = []string{bundles, logits, figures, texts}

// adapters are some of testdata/quantized, and the families that they were trained on.
var adapters = []struct{ name, family string }{
	{"lora_dora", "gpt2"},
	{"lora_experts", "qwen3_moe"},
	{"lora_llama", "llama"},
	{"lora_phi3", "phi3"},
	{"lora_tokens", "qwen3"},
}

// plan returns the jobs whose names match. It prepares their checkpoints in dir: those of testdata whose
// vocabulary is too small for a tokenizer of their own get one.
func plan(testdata, dir string, only *regexp.Regexp) ([]job, error) {
	f, err := newFixtures(testdata, dir)
	if err != nil {
		return nil, err
	}
	jobs := []job{tiny(f)}
	for _, group := range []string{"families", "forms", "quantized"} {
		entries, err := os.ReadDir(filepath.Join(testdata, group))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := group + "/" + e.Name()
			if strings.HasPrefix(e.Name(), "lora_") || !only.MatchString(name) {
				continue
			}
			checkpoint, err := f.withTokenizer(name)
			if err != nil {
				return nil, err
			}
			if group == "families" {
				tokens, err := window(checkpoint)
				if err != nil {
					return nil, err
				}
				jobs = append(jobs, family(f, name, checkpoint, tokens))
			} else {
				jobs = append(jobs, conversion(name, checkpoint))
			}
		}
	}
	for _, a := range adapters {
		jobs = append(jobs, conversion("quantized/"+a.name, filepath.Join(f.families, a.family),
			"--lora", filepath.Join(testdata, "quantized", a.name)))
	}
	jobs = matching(jobs, only)
	if len(jobs) == 0 {
		return nil, fmt.Errorf("-run %s: matches no model", only)
	}
	return jobs, nil
}

// matching returns the jobs whose names match.
func matching(jobs []job, only *regexp.Regexp) []job {
	var out []job
	for _, j := range jobs {
		if only.MatchString(j.name) {
			out = append(out, j)
		}
	}
	return out
}

// tiny is the model that writes English: every format and method, sampling, several prompts, chat, export.
func tiny(f *fixtures) job {
	checkpoint := filepath.Join(f.testdata, "tiny")
	gptq := f.calibrated(filepath.Join(f.testdata, "text/calibration.txt"))
	const prompt = "It was a cold morning of the early spring"
	steps := []step{
		quantize(checkpoint, "f16", "--format", "f16"),
		quantize(checkpoint, "int8", "--format", "int8"),
		quantize(checkpoint, "int4", "--format", "int4"),
		quantize(checkpoint, "int2", "--format", "int2", "--max-shard-size", "2MB"),
		quantize(checkpoint, "int4-rtn", "--format", "int4", "--method", "rtn", "--block-size", "128", "--embed-format", "int4"),
		quantize(checkpoint, "int4-mixed", "--format", "int4", "--override", "down_proj=int8:32", "--keep-f16", `layers\.0\.`),
		quantize(checkpoint, "int4-gptq", append(gptq("cpu"), "--format", "int4")...),
		quantize(checkpoint, "int2-rotated", append(gptq("cpu"), "--format", "int2", "--rotate", "--head-format", "int8")...),
		quantize(checkpoint, "int4-gptq-gpu", append(gptq("gpu"), "--format", "int4")...),
		write("text", "int4", "--prompt", prompt, "-n", "24", "--temperature", "0"),
		write("sampled", "int8", "--prompt", prompt, "-n", "24", "--repeat-penalty", "1.1", "--seed", "3", "--min-p", "0.02"),
		write("prompts", "int4", "--prompt", prompt, "--prompt", "She said", "--prompt", "The", "-n", "12", "--temperature", "0"),
		write("stopped", "int4", "--prompt", prompt, "-n", "48", "--temperature", "0", "--stop", "the", "--echo"),
		write("cpu", "int2", "--prompt", prompt, "-n", "8", "--temperature", "0", "--device", "cpu"),
		{
			args:  []string{"export", "int4", "--output-dir", "export", "--type", "f32", "--force", "--quiet"},
			makes: []made{{bundles, "export", whole}},
		},
	}
	for _, format := range []string{"f16", "int8", "int4", "int2", "int4-rtn", "int4-mixed", "int2-rotated"} {
		steps = append(steps, forward(format, other(format), windowTokens))
	}
	return job{"tiny", append(steps, judge("int4", checkpoint, windowTokens))}
}

// family is a small model of one architecture: every format, and what runs it over windows of some tokens.
func family(f *fixtures, name, checkpoint string, tokens int) job {
	gptq := f.calibrated(f.calibration)
	steps := []step{
		quantize(checkpoint, "f16", "--format", "f16"),
		quantize(checkpoint, "int8", "--format", "int8"),
		quantize(checkpoint, "int4", "--format", "int4"),
		quantize(checkpoint, "int2", "--format", "int2", "--method", "rtn"),
		quantize(checkpoint, "int4-gptq", append(gptq("gpu"), "--format", "int4")...),
	}
	for _, format := range []string{"f16", "int8", "int4", "int2"} {
		steps = append(steps, forward(format, other(format), tokens, "--text", f.text))
	}
	return job{name, append(steps,
		judge("int4", checkpoint, tokens, "--text", f.text),
		write("text", "int4", "--prompt", "it was", "-n", "12", "--temperature", "0"),
	)}
}

// conversion is a checkpoint of another form, which is converted only.
func conversion(name, checkpoint string, args ...string) job {
	return job{name, []step{
		quantize(checkpoint, "int8", append(args, "--format", "int8")...),
		quantize(checkpoint, "int4", append(args, "--format", "int4")...),
	}}
}

// other is a bundle for compare to look at beside one; it must not be the same.
func other(format string) string {
	if format == "int8" {
		return "int4"
	}
	return "int8"
}

func quantize(checkpoint, out string, args ...string) step {
	return step{
		args:  append([]string{"quantize", checkpoint, "--output-dir", out, "--force", "--discard", "--quiet"}, args...),
		makes: []made{{bundles, out, whole}},
	}
}

// forward keeps the GPU's logits of a bundle: to compare, it is the reference.
func forward(bundle, beside string, tokens int, args ...string) step {
	file := bundle + ".logits"
	return step{
		args: append([]string{
			"compare", beside, "--reference", bundle, "--reference-device", "gpu", "--reference-cache", file,
			"--device", "cpu", "--windows", "1", "--window-tokens", strconv.Itoa(tokens), "--quiet",
		}, args...),
		makes: []made{{logits, file, recording}},
	}
}

// judge keeps verify's figures, which follow from logits and from the stream after every layer, of tokens that
// are fed in one go, in chunks and one by one, with float16 in the cache.
func judge(bundle, checkpoint string, tokens int, args ...string) step {
	file := bundle + ".verify.json"
	return step{
		args: append([]string{
			"verify", bundle, "--reference", checkpoint, "--device", "gpu", "--layers", "--json", "-", "--quiet",
			"--windows", "1", "--window-tokens", strconv.Itoa(tokens), "--runtime-tokens", strconv.Itoa(min(48, tokens)),
		}, args...),
		stdout: file,
		codes:  []int{3}, // thresholds are for models that have learned something
		makes:  []made{{figures, file, numbers}},
	}
}

func write(name, bundle string, args ...string) step {
	file := name + ".txt"
	return step{args: append([]string{"infer", bundle}, args...), stdout: file, makes: []made{{texts, file, whole}}}
}
