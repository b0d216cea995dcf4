package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Client downloads from one hub into one cache.
type Client struct {
	Endpoint string // https://huggingface.co, or another hub or mirror
	Token    string // sent to Endpoint alone, never to where it redirects; "" is none
	Cache    string // directory
	Offline  bool   // use what is in the cache, and no network

	// Progress, if not nil, is told how many bytes there are of how many. Calls do not overlap.
	Progress func(done, total int64)

	// Wait is how long a connection may be silent, and how long the first pause between two tries is; 0 means 30 s and 1 s.
	Wait, Pause time.Duration
}

// FromEnvironment returns a client for the hub, token and cache that Hugging Face's programs would use: HF_ENDPOINT,
// HF_TOKEN or the file that HF_TOKEN_PATH names, HF_HUB_CACHE or HF_HOME, HF_HUB_OFFLINE.
func FromEnvironment() (*Client, error) {
	home := os.Getenv("HF_HOME")
	if home == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			user, err := os.UserHomeDir()
			if err != nil && os.Getenv("HF_HUB_CACHE") == "" {
				return nil, fmt.Errorf("no directory for a cache: %w; set HF_HOME", err)
			}
			cache = filepath.Join(user, ".cache")
		}
		home = filepath.Join(cache, "huggingface")
	}
	c := &Client{
		Endpoint: strings.TrimRight(cmp.Or(os.Getenv("HF_ENDPOINT"), "https://huggingface.co"), "/"),
		Token:    os.Getenv("HF_TOKEN"),
		Cache:    cmp.Or(os.Getenv("HF_HUB_CACHE"), filepath.Join(home, "hub")),
	}
	switch strings.ToUpper(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "ON", "YES", "TRUE":
		c.Offline = true
	}
	if c.Token == "" {
		data, err := os.ReadFile(cmp.Or(os.Getenv("HF_TOKEN_PATH"), filepath.Join(home, "token")))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("token: %w", err)
		}
		c.Token = strings.TrimSpace(string(data))
	}
	return c, nil
}

func (c *Client) wait() time.Duration  { return cmp.Or(c.Wait, 30*time.Second) }
func (c *Client) pause() time.Duration { return cmp.Or(c.Pause, time.Second) }

// StatusError is an HTTP response with a status that is an error.
type StatusError struct {
	URL    string
	Status int
	Advice string        // what to do; may be ""
	After  time.Duration // what the server asks to wait
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Advice != "" {
		text += ": " + e.Advice
	}
	return text
}

// temporary reports whether the same request may succeed later.
func (e *StatusError) temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= 500
}

// get asks the hub for something, from a byte on. The caller closes the body. The token goes to the hub alone.
func (c *Client) get(ctx context.Context, address string, from int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "llama-webgpu")
	req.Header.Set("Accept-Encoding", "identity") // a Range counts the file's own bytes
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	client := http.Client{CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than ten redirects")
		}
		if next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme {
			next.Header.Del("Authorization")
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		defer func() { _ = resp.Body.Close() }()
		return nil, c.refused(address, resp)
	}
	return resp, nil
}

// refused turns an answer into an error that says what to do.
func (c *Client) refused(address string, resp *http.Response) error {
	e := &StatusError{URL: address, Status: resp.StatusCode}
	if seconds, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil {
		e.After = min(max(seconds, 0), 5*time.Minute)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Advice = "there is no such model, or it is private or gated: ask for access on its page, and set HF_TOKEN"
		if c.Token != "" {
			e.Advice = "there is no such model, or the token may not read it: ask for access on its page"
		}
	case http.StatusNotFound:
		e.Advice = "there is no such model or file"
	}
	return e
}

// json asks the hub's interface for a value, and returns the address of the next page of it.
func (c *Client) json(ctx context.Context, address string, to any) (next string, err error) {
	err = c.again(ctx, func() (progress bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, c.wait())
		defer cancel()
		resp, err := c.get(ctx, address, 0)
		if err != nil {
			return false, err
		}
		defer func() { _ = resp.Body.Close() }()
		data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
		if err != nil {
			return false, err
		}
		if err := json.Unmarshal(data, to); err != nil {
			return false, permanent{fmt.Errorf("%s: this is not the answer of a Hugging Face hub: %w; is the hub's address right?", address, err)}
		}
		next = nextPage(resp.Header.Get("Link"))
		return true, nil
	})
	return next, err
}

var links = regexp.MustCompile(`<([^>]+)>\s*;[^,]*\brel="?next"?`)

func nextPage(link string) string {
	if m := links.FindStringSubmatch(link); m != nil {
		return m[1]
	}
	return ""
}

// permanent is an error that trying again does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// tries is how often something is tried that makes no progress.
const tries = 5

// again calls try until it succeeds, fails for good, or has failed often without any progress.
func (c *Client) again(ctx context.Context, try func() (progress bool, err error)) error {
	pause := c.pause()
	for failed := 1; ; failed++ {
		progress, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var status *StatusError
		var final permanent
		switch {
		case errors.As(err, &final):
			return final.error
		case errors.As(err, &status) && !status.temporary():
			return err
		}
		if progress {
			failed, pause = 0, c.pause()
		}
		if failed == tries {
			return fmt.Errorf("%w; tried %d times", err, tries)
		}
		wait := pause
		if status != nil {
			wait = max(wait, status.After)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		pause *= 2
	}
}

// commit returns the commit that a revision is.
func (c *Client) commit(ctx context.Context, n Name) (string, error) {
	revision := cmp.Or(n.Revision, "main")
	if isCommit(revision) {
		return revision, nil
	}
	type ref struct{ Name, Ref, TargetCommit string }
	var refs struct{ Branches, Tags, Converts []ref }
	if _, err := c.json(ctx, c.Endpoint+"/api/models/"+n.Repo+"/refs", &refs); err != nil {
		return "", err
	}
	var names []string
	for _, list := range [][]ref{refs.Branches, refs.Tags, refs.Converts} {
		for _, r := range list {
			if r.Name == revision || r.Ref == revision || r.Ref == "refs/"+revision {
				if !isCommit(r.TargetCommit) {
					return "", fmt.Errorf("%s: the hub says that %s is %q, which is no commit", n.Repo, revision, r.TargetCommit)
				}
				return r.TargetCommit, nil
			}
			names = append(names, r.Name)
		}
	}
	return "", fmt.Errorf("%s has no revision %q; it has %s", n.Repo, revision, strings.Join(names, ", "))
}

var commits = regexp.MustCompile(`^[0-9a-f]{40}$`)

func isCommit(text string) bool { return commits.MatchString(text) }

var sums = regexp.MustCompile(`^[0-9a-f]{64}$`)

// files lists a repository's files at a commit.
func (c *Client) files(ctx context.Context, n Name, commit string) ([]File, error) {
	var all []File
	address := c.Endpoint + "/api/models/" + n.Repo + "/tree/" + commit + "?recursive=true"
	for seen := map[string]bool{}; address != ""; {
		if seen[address] {
			return nil, fmt.Errorf("%s: the hub's list of files does not end", address)
		}
		seen[address] = true
		var page []struct {
			Type, Oid, Path string
			Size            int64
			LFS             *struct {
				Oid  string
				Size int64
			}
		}
		next, err := c.json(ctx, address, &page)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.Type != "file" {
				continue
			}
			f := File{Path: e.Path, Size: e.Size, Oid: e.Oid}
			if e.LFS != nil {
				f.LFS, f.Oid, f.Size = true, strings.TrimPrefix(e.LFS.Oid, "sha256:"), e.LFS.Size
			}
			if err := f.check(); err != nil {
				return nil, fmt.Errorf("%s: %w", n.Repo, err)
			}
			all = append(all, f)
		}
		if address, err = sameHost(address, next); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// sameHost resolves the address of a next page, which must be on the same host.
func sameHost(address, next string) (string, error) {
	if next == "" {
		return "", nil
	}
	base, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(next)
	if err != nil || u.Host != base.Host {
		return "", fmt.Errorf("%s: its next page is %q, on another host", address, next)
	}
	return u.String(), nil
}

// check reports a file that the hub may not name so.
func (f File) check() error {
	hash := isCommit(f.Oid)
	if f.LFS {
		hash = sums.MatchString(f.Oid)
	}
	switch {
	case !filepath.IsLocal(filepath.FromSlash(f.Path)) || strings.ContainsAny(f.Path, "\\:\x00"):
		return fmt.Errorf("file %q: its name leaves the directory", f.Path)
	case !hash:
		return fmt.Errorf("file %q: %q is no hash", f.Path, f.Oid)
	case f.Size < 0:
		return fmt.Errorf("file %q: %d bytes", f.Path, f.Size)
	}
	return nil
}
