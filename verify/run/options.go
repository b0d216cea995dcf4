package run

import (
	"log/slog"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// Options say what bundles are compared with, over which text, and where the models run. The zero value compares over
// two windows of a story, on the best GPU, with the checkpoint on the CPU.
type Options struct {
	Reference Reference
	Text      Text
	// Engine is where bundles run. Without a Device it is a GPU; if that is software, many tokens are computed on the
	// CPU engine, which is the same processor, faster. Its Context, Check and Progress are set by this package.
	Engine engine.Options

	Program  string         // name and version, for reports
	Log      *slog.Logger   // gets details that help to explain an error; may be nil
	Progress func(Progress) // told how far it is, by one goroutine at a time; may be nil
}

// Reference says what is done with the checkpoint.
type Reference struct {
	Adapters []source.Adapter // merged into its weights first
	Edits    []hf.Edit        // changes of its configuration
	Device   engine.Device    // where the drift runs it: engine.CPU, which shares no code with the GPU, or engine.GPU; "": CPU
	Cache    string           // file that keeps its logits, which are used again for the same checkpoint and text; "": none
}

// Text is the text that models predict.
type Text struct {
	Text    string // "": a story
	Name    string // what reports call it, "": the story's title
	Windows int    // how many windows of it, 0: 2, negative: all
	Tokens  int    // of a window, of which the second half is scored; 0: 512, or as many as the model was trained for
}

// VerifyOptions are Options for one bundle.
type VerifyOptions struct {
	Options
	RuntimeTokens int        // of the text, that the runtime is compared over; 0: 160, or 64 on a software adapter that Engine does not ask for
	Limits        Limits     // of what is measured
	Golden        string     // file with the logits of another implementation, "": none
	GoldenRoPE    GoldenRoPE // what they were computed with
	Page          *Page      // what to measure for a page that people read, nil: no page
}

// Page says what is measured only for the page.
type Page struct {
	Worst    int // how many of the worst predictions it lists
	Generate int // how many tokens each model writes, the checkpoint on the CPU; 0: no text
}

// Limits replace the default thresholds of verify.DefaultThresholds. nil: the default.
type Limits struct {
	MaxRelRMS, MaxRelMax       *float64 // see verify.Thresholds
	MaxKLD, MinTop1            *float64
	GoldenMaxAbs, GoldenMaxKLD *float64
}

// GoldenRoPE says which RoPE frequencies golden logits were computed with.
type GoldenRoPE string

// Frequencies behind golden logits.
const (
	RoPEAuto GoldenRoPE = ""    // whichever fits
	RoPEF32  GoldenRoPE = "f32" // as they are
	RoPEF16  GoldenRoPE = "f16" // as PyTorch's half() rounds them
)

// OptionError is a mistake in the options, or in the models that they are for.
type OptionError = option.Error

// Progress says how far a step is. An empty Step says that the last one has ended.
type Progress struct {
	Step        string
	Done, Total int64 // Total −1: not known
	Bytes       bool  // they are bytes
}

// begin reports a step, and returns what reports how far it is, and what ends it.
func (o *Options) begin(step string, total int64, bytes bool) (set func(done int64), end func()) {
	if o.Progress == nil {
		return func(int64) {}, func() {}
	}
	set = func(done int64) { o.Progress(Progress{step, done, total, bytes}) }
	set(0)
	return set, func() { o.Progress(Progress{}) }
}
