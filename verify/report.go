package verify

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is the outcome of a verification. Its JSON keys are an interface.
type Report struct {
	Pass        bool              `json:"pass"`
	Failures    []string          `json:"failures"`              // measured value and limit of each; empty if Pass
	Environment map[string]string `json:"environment,omitempty"` // what ran: device, driver, bundle …
	Thresholds  Thresholds        `json:"thresholds"`
	NotJudged   map[string]string `json:"not_judged,omitempty"` // by the name of a check (CheckKLD, …), why it is left out
	Runtime     *Parity           `json:"runtime,omitempty"`    // is the runtime right?
	Drift       *Drift            `json:"drift,omitempty"`      // is the model still itself?
	Golden      *GoldenReport     `json:"golden,omitempty"`
	KVFloat32   []int             `json:"kv_float32,omitempty"` // layers with keys or values beyond block.SafeKV, which float16 may not hold
	Details     *Details          `json:"details,omitempty"`    // of Drift, if they were asked for
}

// GoldenReport compares with golden values: the checkpoint on the CPU reference, and the bundle on
// the runtime.
type GoldenReport struct {
	Reference *GoldenResult `json:"reference,omitempty"`
	Bundle    *GoldenResult `json:"bundle,omitempty"`
}

// Note turns NaN or Inf in a measurement into a failure of the report, asks check which tensor is to
// blame (see NonFiniteError.Check), and returns nil. Any other error is returned as it is.
func (r *Report) Note(err error, check func(layer int) error) error {
	var bad *NonFiniteError
	if !errors.As(err, &bad) {
		return err
	}
	bad.Check(check)
	r.Failures = append(r.Failures, bad.Error())
	return nil
}

// Judge sets Pass according to what was measured and to the failures noted before. A report without
// any measurement does not pass.
func (r *Report) Judge(t Thresholds) {
	r.Thresholds = t
	r.Failures = append(r.Failures, t.failures(r)...)
	if len(r.Failures) == 0 && r.Runtime == nil && r.Drift == nil && r.Golden == nil {
		r.Failures = append(r.Failures, "nothing was measured")
	}
	if r.Failures == nil {
		r.Failures = []string{}
	}
	r.Pass = len(r.Failures) == 0
}

// Checks returns all checks of a judged report: first whether everything could be measured (no
// damage, no NaN), then each measure.
func (r *Report) Checks() []Check {
	checks := r.Thresholds.checks(r)
	judged := map[string]bool{}
	for _, c := range checks {
		judged[c.Fail] = true
	}
	var others []string
	for _, f := range r.Failures {
		if !judged[f] {
			others = append(others, f)
		}
	}
	whole := Check{Group: "verification", Name: "sound and measured to the end", Fail: strings.Join(others, "; ")}
	return append([]Check{whole}, checks...)
}

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if r.Runtime != nil {
		r.Runtime.write(t, r.Thresholds)
	}
	if r.Drift != nil {
		r.Drift.write(t, r)
	}
	if r.Golden != nil {
		r.Golden.write(t, r.Thresholds)
	}
	for _, name := range slices.Sorted(maps.Keys(r.NotJudged)) {
		fmt.Fprintf(t, "%s is not judged: %s\n", name, r.NotJudged[name])
	}
	if len(r.NotJudged) > 0 {
		fmt.Fprintln(t)
	}
	if len(r.KVFloat32) > 0 {
		fmt.Fprintf(t, "Keys or values of layers %v come near or pass what float16 can hold (65504). verify --record notes them, and the bundle's cache has these layers in float32 from then on.\n\n", r.KVFloat32)
	}
	if r.Pass {
		fmt.Fprintln(t, "PASS")
	} else {
		fmt.Fprintln(t, "FAIL")
	}
	for _, f := range r.Failures {
		fmt.Fprintf(t, "- %s\n", f)
	}
	return t.Flush()
}

func (p *Parity) write(t io.Writer, limit Thresholds) {
	fmt.Fprintf(t, "Runtime parity: runtime and reference on the same weights, %d tokens\n", p.Tokens)
	fmt.Fprintf(t, "  tokens fed\tlargest |Δlogit|\trelative RMS\tsame top token\n")
	for _, s := range p.Schedules {
		fmt.Fprintf(t, "  %s\t%.3g\t%.3g\t%.2f %%\n", s.Name, s.MaxAbs, s.RelRMS, 100*s.Top1)
	}
	fmt.Fprintf(t, "  allowed\t%.3g × RMS\t%.3g\t\n\n", limit.MaxRelMax, limit.MaxRelRMS)
}

func (d *Drift) write(t io.Writer, r *Report) {
	limit := func(check, text string, value float64) string {
		if r.NotJudged[check] != "" {
			return "not judged"
		}
		return fmt.Sprintf(text, value)
	}
	fmt.Fprintf(t, "Model drift: bundle and checkpoint, %d windows of %d tokens, %d positions scored\n", d.Windows, d.WindowTokens, d.Scored)
	fmt.Fprintf(t, "  mean KLD\t%.5g ± %.2g\t%s\n", d.MeanKLD, d.MeanKLDError, limit(CheckKLD, "allowed %.3g", r.Thresholds.MaxKLD))
	fmt.Fprintf(t, "  in words\tthe bundle %s\t\n", Reads(d.MeanKLD))
	k := d.KLD
	fmt.Fprintf(t, "  KLD median, 90, 95, 99, 99.9 %%, max\t%.3g, %.3g, %.3g, %.3g, %.3g, %.3g\t\n", k.Median, k.P90, k.P95, k.P99, k.P999, k.Max)
	fmt.Fprintf(t, "  same top token\t%.2f ± %.2f %%\t%s\n", 100*d.Top1, 100*d.Top1Error, limit(CheckTop1, "at least %.2f %%"+d.slack(r.Thresholds), 100*r.Thresholds.MinTop1))
	fmt.Fprintf(t, "  perplexity, checkpoint's\t%.5g ± %.2g, %.5g ± %.2g\t\n", d.PPL, d.PPLError, d.PPLReference, d.PPLReferenceError)
	fmt.Fprintf(t, "  ln of their ratio\t%.4g ± %.2g\t\n", d.LnPPLRatio, d.LnPPLRatioError)
	fmt.Fprintf(t, "  Δp mean, RMS\t%.3f ± %.3f %%, %.3f ± %.3f %%\t\n\n",
		100*d.MeanDeltaP, 100*d.MeanDeltaPError, 100*d.RMSDeltaP, 100*d.RMSDeltaPError)
}

// slack says how much of its sampling error the share of the same top token is given.
func (d *Drift) slack(t Thresholds) string {
	if t.Top1Errors == 0 {
		return ""
	}
	return fmt.Sprintf(" − %.3g × %.2f %%%%", t.Top1Errors, 100*d.Top1Error)
}

func (g *GoldenReport) write(t io.Writer, limit Thresholds) {
	fmt.Fprintf(t, "Golden logits\n")
	fmt.Fprintf(t, "  model\tlargest |Δlogit|\trelative RMS\tmean KLD\tsame top token\n")
	for _, row := range []struct {
		name string
		r    *GoldenResult
	}{{"checkpoint on the reference", g.Reference}, {"bundle on the runtime", g.Bundle}} {
		if row.r != nil {
			fmt.Fprintf(t, "  %s\t%.3g\t%.3g\t%.3g\t%.2f %%\n", row.name, row.r.MaxAbs, row.r.RelRMS, row.r.MeanKLD, 100*row.r.Top1)
		}
	}
	fmt.Fprintf(t, "  allowed\t%.3g (checkpoint)\t\t%.3g (bundle)\t\n\n", limit.GoldenMaxAbs, limit.GoldenMaxKLD)
}

// WriteLayers writes the tables that compare the residual stream layer by layer, as far as they were
// measured.
func (r *Report) WriteLayers(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	table := func(title string, stages []Stage) {
		if len(stages) == 0 {
			return
		}
		fmt.Fprintf(t, "%s\n  after\trelative RMS\tlargest |Δ|\n", title)
		for _, s := range stages {
			fmt.Fprintf(t, "  %s\t%.3g\t%.3g\n", s.Name, s.RelRMS, s.MaxAbs)
		}
		fmt.Fprintln(t)
	}
	if r.Runtime != nil {
		table("Residual stream, runtime and reference", r.Runtime.Layers)
	}
	if r.Golden != nil && r.Golden.Reference != nil {
		table("Residual stream, checkpoint on the reference and golden", r.Golden.Reference.Layers)
	}
	if r.Golden != nil && r.Golden.Bundle != nil {
		table("Residual stream, bundle and golden", r.Golden.Bundle.Layers)
	}
	return t.Flush()
}
