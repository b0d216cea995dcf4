// Package hubtest is a hub for tests: it serves directories as repositories, the way that Hugging Face's does, and can be told to
// behave badly.
package hubtest

import (
	"crypto/sha1" //nolint:gosec // Git names blobs by it
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Commit is the commit that every repository is at.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// large is how many bytes a file has at least that is stored as Git LFS does.
const large = 4 << 10

// Hub serves repositories. Fields are set before it serves.
type Hub struct {
	Repos   map[string]string // owner/name → directory
	Token   string            // the one that is asked for; "": none
	Page    int               // files of a page of the list; 0: all
	Storage string            // address that files above 4 KiB are redirected to, another server with the same Hub; "": none

	// Serve, if not nil, may answer a request for a file itself, and returns whether it has.
	Serve func(w http.ResponseWriter, r *http.Request, path string) bool

	mu       sync.Mutex
	requests []*http.Request
}

// Requests are those made so far.
func (h *Hub) Requests() []*http.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

// ServeHTTP implements http.Handler.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r)
	h.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(path, "storage/"); ok {
		h.file(w, r, rest)
		return
	}
	if h.Token != "" && r.Header.Get("Authorization") != "Bearer "+h.Token {
		http.Error(w, `{"error":"Invalid credentials"}`, http.StatusUnauthorized)
		return
	}
	if rest, ok := strings.CutPrefix(path, "api/models/"); ok {
		h.api(w, r, rest)
		return
	}
	repo, rest, ok := strings.Cut(path, "/resolve/"+Commit+"/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if h.Storage != "" {
		if info, err := os.Stat(filepath.Join(h.Repos[repo], rest)); err == nil && info.Size() >= large {
			http.Redirect(w, r, h.Storage+"/storage/"+repo+"/"+rest, http.StatusFound)
			return
		}
	}
	h.file(w, r, repo+"/"+rest)
}

// file serves owner/name/path.
func (h *Hub) file(w http.ResponseWriter, r *http.Request, path string) {
	if h.Serve != nil && h.Serve(w, r, path) {
		return
	}
	for repo, dir := range h.Repos {
		if rest, ok := strings.CutPrefix(path, repo+"/"); ok {
			http.ServeFile(w, r, filepath.Join(dir, filepath.FromSlash(rest)))
			return
		}
	}
	http.NotFound(w, r)
}

type entry struct {
	Type string `json:"type"`
	Oid  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *lfs   `json:"lfs,omitempty"`
}

type lfs struct {
	Oid         string `json:"oid"`
	Size        int64  `json:"size"`
	PointerSize int    `json:"pointerSize"`
}

// api answers what is asked of a repository.
func (h *Hub) api(w http.ResponseWriter, r *http.Request, path string) {
	for repo, dir := range h.Repos {
		switch path {
		case repo + "/refs":
			answer(w, map[string]any{
				"branches": []map[string]string{{"name": "main", "ref": "refs/heads/main", "targetCommit": Commit}},
				"tags":     []map[string]string{{"name": "v1", "ref": "refs/tags/v1", "targetCommit": Commit}},
			})
			return
		case repo + "/tree/" + Commit:
			h.tree(w, r, dir)
			return
		}
	}
	http.Error(w, `{"error":"Repository not found"}`, http.StatusUnauthorized)
}

// tree lists a page of the files.
func (h *Hub) tree(w http.ResponseWriter, r *http.Request, dir string) {
	list, err := entries(dir)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	from := 0
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		if _, err := fmt.Sscan(cursor, &from); err != nil || from > len(list) {
			http.Error(w, "bad cursor", http.StatusBadRequest)
			return
		}
	}
	to := len(list)
	if h.Page > 0 && from+h.Page < to {
		to = from + h.Page
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?recursive=true&cursor=%d>; rel="next"`, r.Host, r.URL.Path, to))
	}
	answer(w, list[from:to])
}

// entries lists the files below a directory.
func entries(dir string) ([]entry, error) {
	list := []entry{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		e := entry{Path: filepath.ToSlash(rel), Type: "directory", Oid: strings.Repeat("0", 40)}
		if !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.Type, e.Size, e.Oid = "file", int64(len(data)), gitHash(data)
			if len(data) >= large {
				sum := sha256.Sum256(data)
				e.LFS = &lfs{hex.EncodeToString(sum[:]), e.Size, 134}
			}
		}
		list = append(list, e)
		return nil
	})
	return list, err
}

func gitHash(data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...)) //nolint:gosec // Git names blobs by it
	return hex.EncodeToString(sum[:])
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // a client that is gone needs no answer
}
