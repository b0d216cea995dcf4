package hub

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Name is a model on a hub.
type Name struct {
	Repo     string // owner/name, or the name of a repository without an owner
	Revision string // branch, tag or commit; "" is main
	Format   string // if a repository has several GGUF files, a part of the name of the one to download
}

func (n Name) String() string {
	text := n.Repo
	if n.Format != "" {
		text += ":" + n.Format
	}
	if n.Revision != "" {
		text += "@" + n.Revision
	}
	return text
}

// part is what an owner or a repository may be called: no path that leaves its directory is.
var part = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$`)

// revisions are branches, tags and commits; refs/pr/1 is a branch too.
var revisions = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$`)

// ParseName reads owner/name, owner/name:format, either with @revision, or the address of a model's page on a hub.
func ParseName(text string) (Name, error) {
	n, err := split(text)
	if err != nil {
		return Name{}, fmt.Errorf("%q: %w", text, err)
	}
	parts := strings.Split(n.Repo, "/")
	if len(parts) > 2 {
		return Name{}, fmt.Errorf("%q: want owner/name", text)
	}
	for _, p := range parts {
		if !part.MatchString(p) || strings.Contains(p, "..") || strings.Contains(p, "--") {
			return Name{}, fmt.Errorf("%q: %q is no name of an owner or a repository", text, p)
		}
	}
	if n.Revision != "" && (!revisions.MatchString(n.Revision) || strings.Contains(n.Revision, "..")) {
		return Name{}, fmt.Errorf("%q: %q is no name of a revision", text, n.Revision)
	}
	return n, nil
}

func split(text string) (Name, error) {
	var n Name
	text = strings.TrimPrefix(strings.TrimSpace(text), "hf:")
	for _, host := range []string{"huggingface.co/", "hf.co/"} {
		if strings.HasPrefix(text, host) {
			text = "https://" + text
		}
	}
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		u, err := url.Parse(text)
		if err != nil || scheme != "https" && scheme != "http" {
			return n, fmt.Errorf("want owner/name, or the address of a model's page")
		}
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		switch {
		case len(parts) == 2:
		case len(parts) >= 4 && (parts[2] == "tree" || parts[2] == "blob" || parts[2] == "resolve"):
			n.Revision = parts[3]
			if len(parts) > 4 && strings.HasSuffix(parts[len(parts)-1], ".gguf") {
				n.Format = parts[len(parts)-1]
			}
		default:
			return n, fmt.Errorf("is not the address of a model's page, which is https://host/owner/name")
		}
		n.Repo = parts[0] + "/" + parts[1]
		return n, nil
	}
	n.Repo, n.Revision, _ = strings.Cut(text, "@")
	n.Repo, n.Format, _ = strings.Cut(n.Repo, ":")
	return n, nil
}
