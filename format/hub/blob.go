package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // Git names blobs by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// blob downloads a file into the cache. One process at a time does; another waits, and then finds it there.
func (c *Client) blob(ctx context.Context, dir, repo, commit string, f File, meter *meter) error {
	locks := filepath.Join(c.Cache, ".locks", filepath.Base(dir))
	if err := os.MkdirAll(locks, 0o777); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(locks, f.Oid+".lock"))
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer func() { _ = lock.Close() }()
	to := blobPath(dir, f)
	if info, err := os.Stat(to); err == nil && info.Size() == f.Size {
		meter.add(f.Size)
		return nil
	}
	d := download{client: c, meter: meter, file: f, address: c.address(repo, commit, f.Path), path: to + ".incomplete"}
	if err := d.run(ctx); err != nil {
		return err
	}
	return os.Rename(d.path, to)
}

// address is where a file lies.
func (c *Client) address(repo, commit, path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return c.Endpoint + "/" + repo + "/resolve/" + commit + "/" + strings.Join(parts, "/")
}

// download is a file on its way.
type download struct {
	client  *Client
	meter   *meter
	file    File
	address string
	path    string // of what is there
}

// run fetches the file, going on where an earlier download ended, and checks its hash. If that is wrong, the file is
// fetched once more from its beginning, for what lay there may have been of another.
func (d *download) run(ctx context.Context) error {
	for first := true; ; first = false {
		w, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		err = d.fill(ctx, w)
		if err = errors.Join(err, w.Close()); err == nil {
			return nil
		}
		var wrong *hashError
		if !errors.As(err, &wrong) {
			return err
		}
		d.meter.add(-d.file.Size)
		if err := os.Remove(d.path); err != nil {
			return err
		}
		if !first {
			return fmt.Errorf("%s: %w", d.address, wrong)
		}
	}
}

// hashError says that a file is not the one that the hub promised.
type hashError struct{ got, want string }

func (e *hashError) Error() string {
	return fmt.Sprintf("the file's hash is %s, the hub says %s; it was changed or damaged on its way", e.got, e.want)
}

// fill appends what is missing to w, and checks all of it.
func (d *download) fill(ctx context.Context, w *os.File) error {
	sum := d.file.newHash()
	have, err := io.Copy(sum, w)
	if err != nil {
		return err
	}
	if have > d.file.Size {
		if err := w.Truncate(0); err != nil {
			return err
		}
		sum, have = d.file.newHash(), 0
	}
	d.meter.add(have)
	if have < d.file.Size {
		if err := d.client.again(ctx, func() (bool, error) {
			before := have
			err := d.part(ctx, w, sum, &have)
			return have > before, err
		}); err != nil {
			d.meter.add(-have)
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.file.Oid {
		return &hashError{got, d.file.Oid}
	}
	return w.Sync()
}

// newHash is what the file's Oid is a hash by.
func (f File) newHash() hash.Hash {
	if f.LFS {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // Git names blobs by it
	fmt.Fprintf(h, "blob %d\x00", f.Size)
	return h
}

// part makes one request for the bytes from have on.
func (d *download) part(ctx context.Context, w *os.File, sum hash.Hash, have *int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(d.client.wait(), func() { cancel(fmt.Errorf("%s: silent for %v", d.address, d.client.wait())) })
	defer silence.Stop()
	resp, err := d.client.get(ctx, d.address, *have)
	if err != nil {
		return blame(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	skip := *have // a server without ranges sends all
	if resp.StatusCode == http.StatusPartialContent {
		if from, ok := rangeStart(resp.Header.Get("Content-Range")); ok && from != *have {
			return permanent{fmt.Errorf("%s: the server sent the bytes from %d on, not those from %d", d.address, from, *have)}
		}
		skip = 0
	}
	buffer := make([]byte, 1<<17)
	for {
		n, err := resp.Body.Read(buffer)
		silence.Reset(d.client.wait())
		fresh := buffer[min(skip, int64(n)):n]
		skip -= int64(n - len(fresh))
		if int64(len(fresh)) > d.file.Size-*have {
			return permanent{fmt.Errorf("%s: is longer than the %d bytes that the hub says", d.address, d.file.Size)}
		}
		if _, err := w.WriteAt(fresh, *have); err != nil {
			return permanent{err}
		}
		sum.Write(fresh)
		*have += int64(len(fresh))
		d.meter.add(int64(len(fresh)))
		switch {
		case *have == d.file.Size:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%s: ended after %d of %d bytes", d.address, *have, d.file.Size)
		case err != nil:
			return blame(ctx, err)
		}
	}
}

// blame prefers what ended a request to what the request says of it.
func blame(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// rangeStart reads the first byte's number of a Content-Range.
func rangeStart(text string) (from int64, ok bool) {
	_, err := fmt.Sscanf(text, "bytes %d-", &from)
	return from, err == nil
}
