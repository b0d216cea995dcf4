//go:build !js

package llm

import (
	"context"

	judge "github.com/llama-webgpu/llama-webgpu/verify/run"
)

// VerifyOptions say over which text a bundle is compared with its checkpoint, where both run, and which limits it must keep.
type VerifyOptions = judge.VerifyOptions

// The parts of VerifyOptions, and what Verify reports.
type (
	CompareOptions = judge.Options   // which VerifyOptions have in common with verify/run's comparisons of several bundles
	VerifyText     = judge.Text      // what the models are to predict
	VerifyLimits   = judge.Limits    // in place of the default thresholds
	VerifyProgress = judge.Progress  // which step it is at, and how far that is
	VerifyResult   = judge.Result    // the report, judged
	Reference      = judge.Reference // what is done with the checkpoint
)

// Verify compares a bundle with the checkpoint that it was made from. It answers two questions. Is the runtime right? Its
// logits against those of a plain computation on the CPU, on the same weights. Is the model still itself? The bundle's
// predictions against the checkpoint's, as KL divergence in nats, share of equal most likely tokens, and perplexity.
//
// A bundle that exceeds a limit is not an error: see VerifyResult.Pass and Failures.
func Verify(ctx context.Context, bundle, checkpoint string, o VerifyOptions) (*VerifyResult, error) {
	return judge.Verify(ctx, bundle, checkpoint, o)
}
