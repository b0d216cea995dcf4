package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/verify"
)

// WriteMarkdown writes a judged report as Markdown, for the summary of a CI job: the verdict, what it means in words,
// and each measured value beside its limit.
func WriteMarkdown(w io.Writer, name string, r *verify.Report) error {
	var b strings.Builder
	verdict := "✅ passes"
	if !r.Pass {
		verdict = "❌ fails"
	}
	fmt.Fprintf(&b, "### %s %s\n\n", escaped(name), verdict)
	if d := r.Drift; d != nil {
		fmt.Fprintf(&b, "In words: the bundle %s.\n\n", verify.Reads(d.MeanKLD))
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "- %s\n", escaped(f))
	}
	b.WriteString("\n| check | measured | allowed | |\n|---|---|---|---|\n")
	for i, c := range r.Checks() {
		measured := []string{fmt.Sprintf("%.4g", c.Value), allowed(c)}
		if i == 0 { // it measures nothing
			measured = []string{"", ""}
		}
		fmt.Fprintf(&b, "| %s: %s | %s | %s |\n", c.Group, escaped(c.Name), strings.Join(measured, " | "), sign(c))
	}
	for _, name := range slices.Sorted(maps.Keys(r.NotJudged)) {
		fmt.Fprintf(&b, "| %s | not judged | %s | |\n", escaped(name), escaped(r.NotJudged[name]))
	}
	if d := r.Drift; d != nil {
		fmt.Fprintf(&b, "\n%d positions in %d windows of %d tokens. Mean KLD ± %.2g nats. Perplexity %.4g, the checkpoint's %.4g.\n",
			d.Scored, d.Windows, d.WindowTokens, d.MeanKLDError, d.PPL, d.PPLReference)
	}
	b.WriteString("\n<details><summary>What ran</summary>\n\n")
	for _, key := range slices.Sorted(maps.Keys(r.Environment)) {
		if value := r.Environment[key]; value != "" {
			fmt.Fprintf(&b, "- %s: %s\n", escaped(strings.ReplaceAll(key, "_", " ")), escaped(value))
		}
	}
	b.WriteString("\n</details>\n\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func sign(c verify.Check) string {
	if c.Fail != "" {
		return "❌"
	}
	return "✅"
}

// allowed writes a check's limit.
func allowed(c verify.Check) string {
	relation := "≤"
	if c.Least {
		relation = "≥"
	}
	text := fmt.Sprintf("%s %.4g", relation, c.Limit)
	if c.Slack > 0 {
		text += fmt.Sprintf(" − %.2g", c.Slack)
	}
	return text
}

// escaped makes a text safe for a line or a cell of a table: nothing in it is read as Markdown or HTML.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "\n", " ", "\r", " ", "<", "&lt;", "&", "&amp;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "#", `\#`).Replace(text)
}
