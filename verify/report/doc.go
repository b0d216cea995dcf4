// Package report writes a verification as a page for people (Write), several of them as one page
// (WriteComparison), and as JUnit XML for machines that count tests (WriteJUnit).
//
// A page is one HTML file that needs no other: charts are inline SVG, there is no script and
// nothing is fetched. The package measures nothing and reads no model.
package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/verify"
)

// Page is what a report shows. Empty parts have no section.
type Page struct {
	Bundle    string // its name
	Reference string // the checkpoint's
	Summary   string // of how the bundle is quantized
	Report    *verify.Report
	Tensors   []Tensor
	Worst     []Worst
	Text      *Text
	Facts     []Fact // what ran
	Files     []File
}

// Fact is a line about what ran.
type Fact struct{ Name, Value string }

// File names contents.
type File struct {
	Name   string
	Size   int64  // bytes
	SHA256 string // hex
}

// Tensor says how much was lost in storing one.
type Tensor struct {
	Name   string
	Role   string
	Layer  int // −1 outside the layers
	Stored string
	Error  float64 // √(Σ(w−ŵ)²/Σw²)
}

// Worst is a position where the predictions differ most, with its text.
type Worst struct {
	verify.Position
	Before, Token, After string // the text: what both models saw, what followed, what came then
	Top, TopRef          string // what the bundle and the checkpoint expected
}

// Text is how the two models continue one beginning, always taking the likeliest token.
type Text struct {
	Prompt            string
	Reference, Bundle string
	Same, Tokens      int // tokens that are the same from the start, of those of the longer text
}

//go:embed page.html comparison.html style.css
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"num":     num,
	"limit":   func(v float64) string { return fmt.Sprintf("%.3g", v) },
	"chance":  chance,
	"percent": func(v float64) string { return fmt.Sprintf("%.4g %%", 100*v) },
	"size":    size,
	"style":   style,
	"shown":   shown,
}).ParseFS(files, "*.html"))

// style returns the style sheet, which comes with the program and needs no escaping.
func style() (template.CSS, error) {
	data, err := files.ReadFile("style.css")
	return template.CSS(data), err
}

// num writes a number with three digits, small ones without a power of ten as long as they are
// readable.
func num(v float64) string {
	if a := math.Abs(v); a >= 1e-4 && a < 1000 {
		digits := min(max(2-int(math.Floor(math.Log10(a))), 0), 6)
		return fmt.Sprintf("%.*f", digits, v)
	}
	return fmt.Sprintf("%.3g", v)
}

// chance writes a probability.
func chance(p float64) string {
	if p < 1e-4 {
		return "less than 0.01 %"
	}
	return fmt.Sprintf("%.2f %%", 100*p)
}

func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

// shown makes a token visible that is white space or nothing.
func shown(token string) string {
	if token == "" {
		return "∅"
	}
	token = strings.NewReplacer("\n", "⏎", "\t", "⇥", "\r", "␍").Replace(token)
	if strings.TrimSpace(token) == "" {
		return strings.ReplaceAll(token, " ", "␣")
	}
	return token
}

// Write writes the page.
func Write(w io.Writer, p *Page) error {
	d, view := p.Report.Details, pageView{Page: p, Checks: p.Report.Checks()}
	if d != nil {
		view.Histogram = newHistogram(d.Histogram, p.Report.Drift, p.Report.Thresholds.MaxKLD)
	}
	var drift, runtime []verify.Stage
	if d != nil {
		drift = d.Layers
	}
	if p.Report.Runtime != nil {
		runtime = p.Report.Runtime.Layers
	}
	view.Layers = newLayers(drift, runtime)
	view.Weights = newHeatmap(p.Tensors)
	return pages.ExecuteTemplate(w, "page.html", view)
}

type pageView struct {
	*Page
	Checks    []verify.Check
	Histogram *bars
	Layers    *lines
	Weights   *heatmap
}

// Comparison is several bundles beside one reference.
type Comparison struct {
	Reference string
	Rows      []Row
	Facts     []Fact
}

// Row is one bundle.
type Row struct {
	Name   string        `json:"name"`
	ID     string        `json:"id"`
	Method string        `json:"quantization"`
	Bits   float64       `json:"bits_per_weight"` // of the matrices in the layers, scales included
	Total  float64       `json:"bits_per_weight_total"`
	Bytes  int64         `json:"bytes"`
	Drift  *verify.Drift `json:"drift"`
}

// WriteComparison writes a comparison as a page.
func WriteComparison(w io.Writer, c *Comparison) error {
	return pages.ExecuteTemplate(w, "comparison.html", struct {
		*Comparison
		Chart *scatter
	}{c, newScatter(c.Rows)})
}
