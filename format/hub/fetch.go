package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Snapshot is a model in the cache.
type Snapshot struct {
	Name    string `json:"name"`
	Commit  string `json:"commit"`
	Path    string `json:"path"` // what a converter opens: a directory, or a GGUF file in it
	Files   []File `json:"files"`
	Fetched int64  `json:"fetched_bytes"` // that were not in the cache

	root string // directory that Files are relative to
}

// atOnce is how many files are downloaded at a time.
const atOnce = 4

// Fetch downloads those files of a model that are missing and returns where they are.
func (c *Client) Fetch(ctx context.Context, n Name) (*Snapshot, error) {
	dir := filepath.Join(c.Cache, "models--"+strings.ReplaceAll(n.Repo, "/", "--"))
	if c.Offline {
		return offline(dir, n)
	}
	commit, err := c.commit(ctx, n)
	if err != nil {
		return nil, err
	}
	all, err := c.files(ctx, n, commit)
	if err != nil {
		return nil, err
	}
	list, gguf, err := choose(all, n.Format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Repo, err)
	}
	s := &Snapshot{Name: n.String(), Commit: commit, Files: list, root: filepath.Join(dir, "snapshots", commit)}
	if s.Fetched, err = c.blobs(ctx, dir, n.Repo, commit, list); err != nil {
		return nil, err
	}
	for _, f := range list {
		if err := link(dir, s.root, f); err != nil {
			return nil, err
		}
	}
	s.Path = filepath.Join(s.root, filepath.FromSlash(gguf))
	return s, writeRef(dir, cmp.Or(n.Revision, "main"), commit)
}

// offline returns a snapshot that was downloaded before.
func offline(dir string, n Name) (*Snapshot, error) {
	revision := cmp.Or(n.Revision, "main")
	commit := revision
	if !isCommit(revision) {
		data, err := os.ReadFile(filepath.Join(dir, "refs", filepath.FromSlash(revision)))
		if err != nil {
			return nil, missing(n, dir, err)
		}
		if commit = strings.TrimSpace(string(data)); !isCommit(commit) {
			return nil, fmt.Errorf("%s: %q is no commit; fetch it again online", filepath.Join(dir, "refs", revision), commit)
		}
	}
	s := &Snapshot{Name: n.String(), Commit: commit, root: filepath.Join(dir, "snapshots", commit)}
	var files []File
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.root, path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		files = append(files, File{Path: filepath.ToSlash(rel), Size: info.Size(), Cached: true})
		return nil
	})
	if err != nil {
		return nil, missing(n, dir, err)
	}
	list, gguf, err := choose(files, n.Format)
	if err != nil {
		return nil, fmt.Errorf("%s, as far as it is in the cache: %w", n.Repo, err)
	}
	s.Files, s.Path = list, filepath.Join(s.root, filepath.FromSlash(gguf))
	return s, nil
}

func missing(n Name, dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not in the cache, %s, and --offline or HF_HUB_OFFLINE forbids downloading it", n, dir)
	}
	return err
}

// blobs downloads the files that are not in the cache, and returns how many bytes these are.
func (c *Client) blobs(ctx context.Context, dir, repo, commit string, list []File) (fetched int64, err error) {
	meter := &meter{told: c.Progress}
	for i, f := range list {
		info, err := os.Stat(blobPath(dir, f))
		list[i].Cached = err == nil && info.Size() == f.Size
		meter.total += f.Size
		if list[i].Cached {
			meter.done += f.Size
		} else {
			fetched += f.Size
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o777); err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, f := range list {
		if f.Cached {
			continue
		}
		group.Go(func() error {
			if err := c.blob(ctx, dir, repo, commit, f, meter); err != nil {
				return fmt.Errorf("%s: %s: %w", repo, f.Path, err)
			}
			return nil
		})
	}
	return fetched, group.Wait()
}

func blobPath(dir string, f File) string { return filepath.Join(dir, "blobs", f.Oid) }

// meter adds up what several downloads have done.
type meter struct {
	mu          sync.Mutex
	done, total int64
	told        func(done, total int64)
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.told != nil {
		m.told(m.done, m.total)
	}
}

// link makes a file of a snapshot: a relative link to its blob, or a copy where there are no links.
func link(dir, snapshot string, f File) error {
	at := filepath.Join(snapshot, filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return err
	}
	blob := blobPath(dir, f)
	target, err := filepath.Rel(filepath.Dir(at), blob)
	if err != nil {
		return err
	}
	if now, err := os.Readlink(at); err == nil && now == target {
		return nil
	}
	return place(at, blob, func(at string) error { return os.Symlink(target, at) })
}

// place puts a blob where a path says, in place of what is there: by link, if not nil, else as a further name of the file, else as
// a copy.
func place(at, blob string, link func(at string) error) error {
	temporary := at + ".new"
	_ = os.Remove(temporary) // of a process that was killed
	if (link == nil || link(temporary) != nil) && os.Link(blob, temporary) != nil {
		if err := copyFile(temporary, blob); err != nil {
			return errors.Join(err, os.Remove(temporary))
		}
	}
	return os.Rename(temporary, at)
}

func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// PutInto puts the files into a directory, as links to those in the cache or, on another file system, as copies, and
// makes s.Path point there.
func (s *Snapshot) PutInto(dir string) error {
	for _, f := range s.Files {
		at := filepath.Join(dir, filepath.FromSlash(f.Path))
		blob, err := filepath.EvalSymlinks(filepath.Join(s.root, filepath.FromSlash(f.Path)))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			return err
		}
		if err := place(at, blob, nil); err != nil {
			return err
		}
	}
	rel, err := filepath.Rel(s.root, s.Path)
	if err != nil {
		return err
	}
	s.root, s.Path = dir, filepath.Join(dir, rel)
	return nil
}

// writeRef notes which commit a revision was.
func writeRef(dir, revision, commit string) error {
	if isCommit(revision) {
		return nil
	}
	path := filepath.Join(dir, "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(commit)
	if err = errors.Join(err, f.Chmod(0o666), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}
