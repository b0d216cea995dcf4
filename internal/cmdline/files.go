package cmdline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// Writable reports files named by flags that cannot be written, so that this is known before the work. Existing files
// are left as they are.
func Writable(c *cli.Context, flags ...string) error {
	seen := map[string]string{}
	for _, name := range flags {
		path := c.String(name)
		if path == "" && c.IsSet(name) {
			return Usagef("--%s: its value is empty: want the path of a file", name)
		}
		if path == "" || path == "-" {
			continue
		}
		if err := CheckWritable(path); err != nil {
			return fmt.Errorf("--%s %s: cannot be written: %w", name, Quoted(path), err)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		if other := seen[abs]; other != "" {
			return Usagef("--%s and --%s name the same file, %s", other, name, path)
		}
		seen[abs] = name
	}
	return nil
}

// CheckWritable reports why a file cannot be written.
func CheckWritable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return errors.New("it is a directory, want a file")
	case err == nil && !info.Mode().IsRegular(): // a pipe or a device
		return nil
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return errors.Unwrap(err)
		}
		return f.Close()
	}
	err = outdir.CheckWritable(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s", filepath.Dir(path))
	}
	return err
}

// ReadFile reads the file that a flag names.
func ReadFile(c *cli.Context, flag string) ([]byte, error) {
	path := c.String(flag)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, Quoted(path), errors.Unwrap(err))
	}
	return data, nil
}

// ReadSome is ReadText for a text that stands in for another one if the flag is not given: "". An empty file is an error, as is
// an empty value, so that neither is taken for that.
func ReadSome(c *cli.Context, flag string) (string, error) {
	switch {
	case !c.IsSet(flag):
		return "", nil
	case c.String(flag) == "":
		return "", Usagef("--%s: its value is empty: want the path of a file", flag)
	}
	text, err := ReadText(c, flag)
	if err == nil && strings.TrimSpace(text) == "" {
		err = fmt.Errorf("--%s %s: has no text", flag, Quoted(c.String(flag)))
	}
	return text, err
}

// ReadText reads the text file that a flag names, without a byte order mark.
func ReadText(c *cli.Context, flag string) (string, error) {
	data, err := ReadFile(c, flag)
	if err != nil {
		return "", err
	}
	return asText(data, fmt.Sprintf("--%s %s", flag, Quoted(c.String(flag))))
}

// ReadInput reads standard input as ReadText reads a file.
func ReadInput(c *cli.Context) (string, error) {
	data, err := io.ReadAll(c.App.Reader)
	if err != nil {
		return "", err
	}
	return asText(data, "standard input")
}

// asText returns the text in a file, without a byte order mark; name is what an error calls it.
func asText(data []byte, name string) (string, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := CheckText(data); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return string(data), nil
}

// CheckText reports bytes that are not UTF-8 text.
func CheckText(data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return errors.New("is text in UTF-16: save it as UTF-8")
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return errors.New("is not text in UTF-8")
	}
	return nil
}

// WriteFile writes a file. If its content cannot be made, it is left as it is; what cannot be written to its end is removed.
func WriteFile(path string, write func(io.Writer) error) error {
	var data bytes.Buffer
	if err := write(&data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	return Complete(f, data.Bytes())
}

// Complete writes all of a file's content and closes it. A file that cannot be completed is removed, unless it is a device, a pipe or a
// link, such as /dev/stdout.
func Complete(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		return nil
	}
	if info, failed := os.Lstat(f.Name()); failed == nil && info.Mode().IsRegular() {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// AppendFile adds to a file, which need not be there yet, or adds nothing at all if its content cannot be made.
func AppendFile(path string, write func(io.Writer) error) error {
	var data bytes.Buffer
	if err := write(&data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data.Bytes())
	return errors.Join(err, f.Close())
}
