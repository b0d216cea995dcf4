package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/llama-webgpu/llama-webgpu/verify"
)

// suite and testCase are JUnit XML, as far as those who read it agree on it.
type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *failure `xml:"failure"`
	Output  string   `xml:"system-out,omitempty"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes a judged report as JUnit XML: one test case for each check.
func WriteJUnit(w io.Writer, name string, r *verify.Report) error {
	s := suite{Name: "llama-webgpu verify " + name}
	for i, c := range r.Checks() {
		t := testCase{Class: "verify." + c.Group, Name: c.Name}
		if i > 0 { // the first one measures nothing
			relation := "at most"
			if c.Least {
				relation = "at least"
			}
			t.Output = fmt.Sprintf("measured %.6g, wanted %s %.6g", c.Value, relation, c.Limit)
			if c.Slack > 0 {
				t.Output += fmt.Sprintf(" − %.2g, its sampling error", c.Slack)
			}
		}
		if c.Fail != "" {
			t.Failure = &failure{Message: c.Fail, Text: c.Fail}
			s.Failures++
		}
		s.Cases = append(s.Cases, t)
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
