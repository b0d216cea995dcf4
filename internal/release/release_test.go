package release

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	semver  = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9a-z.]+)?$`)
	heading = regexp.MustCompile(`^## \[(Unreleased|\d+\.\d+\.\d+(?:-[0-9a-z.]+)?)\](?: - (\d{4}-\d\d-\d\d))?$`)
	kinds   = []string{"### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"}
)

func TestVersion(t *testing.T) {
	if !semver.MatchString(Version) {
		t.Errorf("%q is no semantic version", Version)
	}
}

// TestChangelog holds CHANGELOG.md to its form, and to a newest version that is ours or before ours.
func TestChangelog(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "### ") && !slices.Contains(kinds, line):
			t.Errorf("%q: want one of %q", line, kinds)
		case !strings.HasPrefix(line, "## "):
		default:
			m := heading.FindStringSubmatch(line)
			if m == nil || (m[1] == "Unreleased") != (m[2] == "") {
				t.Errorf("%q: want ## [Unreleased], or ## [version] - date", line)
				continue
			}
			versions = append(versions, m[1])
		}
	}
	if len(versions) == 0 || versions[0] != "Unreleased" && versions[0] != Version {
		t.Errorf("the versions in CHANGELOG.md are %q: want [Unreleased] or [%s] first", versions, Version)
	}
	if slices.Contains(versions[min(1, len(versions)):], "Unreleased") {
		t.Errorf("the versions in CHANGELOG.md are %q: [Unreleased] comes first, once", versions)
	}
}
