package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// npm packs web/ as its package.json says, with the version in it. npm itself gives files their place and a fixed date.
func (m *maker) npm(ctx context.Context, work string) error {
	dir := filepath.Join(work, "npm")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	text, err := os.ReadFile("web/package.json")
	if err != nil {
		return err
	}
	versioned, files, err := withVersion(text, m.version)
	if err != nil {
		return fmt.Errorf("web/package.json: %w", err)
	}
	for _, name := range files {
		from, to := filepath.Join("web", name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if err != nil {
			return fmt.Errorf("%w; make web builds it", err)
		}
		if info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			err = copyFile(from, to)
		}
		if err != nil {
			return err
		}
	}
	if err := checkTypes(dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), versioned, 0o666); err != nil {
		return err
	}
	out, err := filepath.Abs(m.out)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("llama-webgpu-%s.tgz", m.version)
	if err := m.command(ctx, dir, nil, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", out); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(out, name))
	if err == nil {
		fmt.Printf("%s  %.1f MB\n", name, float64(info.Size())/1e6)
	}
	return err
}

// withVersion returns a package.json with another version and without what only its sources need, and the files that it
// names.
func withVersion(text []byte, version string) (versioned []byte, files []string, err error) {
	var p struct {
		Version string   `json:"version"`
		Files   []string `json:"files"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, nil, err
	}
	const placeholder = `"version": "0.0.0"`
	if strings.Count(string(text), placeholder) != 1 || len(p.Files) == 0 {
		return nil, nil, fmt.Errorf("want %s, which a release replaces, and a list of files", placeholder)
	}
	return []byte(strings.Replace(string(text), placeholder, fmt.Sprintf("%q: %q", "version", version), 1)), p.Files, nil
}

// checkTypes reports a module without declarations: make page builds the one, tsc the other.
func checkTypes(dir string) error {
	modules, err := filepath.Glob(filepath.Join(dir, "dist", "*.js"))
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		return fmt.Errorf("web/dist has no modules: make web builds them")
	}
	for _, module := range modules {
		if _, err := os.Stat(strings.TrimSuffix(module, ".js") + ".d.ts"); err != nil {
			return fmt.Errorf("web/dist/%s has no types beside it: make web makes them", filepath.Base(module))
		}
	}
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}
